import { describe, expect, it } from 'vitest'
import { encryptTo } from '../../src/apple/wire/cms-envelope.ts'
import { signAttached } from '../../src/apple/wire/cms-sign.ts'
import type { EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { encodePlist } from '../../src/apple/wire/plist-writer.ts'
import { forgetManagement, wipedState } from '../../src/simulator/device-memory.ts'
import { ask, codesOf, configuration, ENROLLMENT, identity, phone, profileXml, selfSigned } from './phone.ts'

const install = (memory: ReturnType<typeof phone>, Payload: Buffer) => ask(memory, 'InstallProfile', { Payload })
const listed = (memory: ReturnType<typeof phone>, params: EncodableDict = {}) => (
  ask(memory, 'ProfileList', params).fields?.['ProfileList'] as EncodableDict[]
)

describe('ProfileList', () => {
  it('begins with the enrollment profile, which MDM did not install', () => {
    const memory = phone()
    install(memory, configuration('com.example.wifi'))
    expect(listed(memory).map((profile) => [profile['PayloadIdentifier'], profile['IsManaged']])).toEqual([
      [ENROLLMENT, false], ['com.example.wifi', true],
    ])
    expect(listed(memory, { ManagedOnly: true }).map((profile) => profile['PayloadIdentifier']))
      .toEqual(['com.example.wifi'])
  })

  it('describes payloads, never their settings', () => {
    const memory = phone()
    install(memory, configuration('com.example.wifi', [{ Password: 'secret', SSID_STR: 'Office' }]))
    expect(listed(memory)[1]?.['PayloadContent']).toEqual([{
      PayloadIdentifier: 'com.example.wifi.0',
      PayloadType: 'com.apple.wifi.managed',
      PayloadUUID: 'com.example.wifi-0',
      PayloadVersion: 1,
    }])
  })
})

describe('InstallProfile', () => {
  it('replaces the profile with the same identifier, in its place', () => {
    const memory = phone()
    for (const name of ['a', 'b', 'a']) install(memory, configuration(`com.example.${name}`))
    expect(memory.state.profiles.map((profile) => profile.identifier))
      .toEqual([ENROLLMENT, 'com.example.a', 'com.example.b'])
  })

  it('takes a signed profile, and tells who signed it', () => {
    const memory = phone()
    const signer = selfSigned('a signer')
    expect(install(memory, signAttached(configuration('com.example.signed'), signer)).status).toBe('Acknowledged')
    expect(listed(memory)[1]?.['SignerCertificates']).toEqual([signer.certificate.der])
  })

  it('takes a profile that is encrypted to its identity, and no other', () => {
    const payload = { PayloadType: 'com.example.any', PayloadIdentifier: 'x.0', PayloadUUID: 'x-0', PayloadVersion: 1 }
    const sealed = (to: typeof identity) => configuration('com.example.sealed', [], {
      PayloadContent: undefined,
      IsEncrypted: true,
      EncryptedPayloadContent: encryptTo(encodePlist([payload]), to.certificate, 'aes-256-cbc'),
    })
    const memory = phone()
    expect(install(memory, sealed(identity)).status).toBe('Acknowledged')
    expect(memory.state.profiles[1]).toMatchObject({ encrypted: true, payloads: [{ identifier: 'x.0' }] })
    expect(codesOf(install(memory, sealed(selfSigned('somebody else'))))).toEqual([4001, 1006])
  })

  it.each<[string, Buffer, number]>([
    ['no plist', Buffer.from('hello'), 1000],
    ['another kind of plist', encodePlist({ PayloadType: 'Other' }), 1000],
    ['a cut signature', signAttached(configuration('x'), identity).subarray(0, -3), 1004],
    ['no identifier', configuration('x', [{}], { PayloadIdentifier: undefined }), 1002],
    ['another version', configuration('x', [{}], { PayloadVersion: 2 }), 1001],
    ['no payloads', configuration('x', []), 1005],
    ['a payload that is no dict', configuration('x', [{}], { PayloadContent: ['text'] }), 1003],
    ['a payload without type', configuration('x', [{ PayloadType: undefined }]), 1002],
    ['two payloads with one UUID', configuration('x', [{ PayloadUUID: 'u' }, { PayloadUUID: 'u' }]), 1007],
  ])('refuses %s, and keeps what it has', (_what, payload, code) => {
    const memory = phone()
    expect(codesOf(install(memory, payload))).toEqual([4001, code])
    expect(memory.state.profiles).toHaveLength(1)
  })

  it('without a profile is malformed', () => {
    expect(ask(phone(), 'InstallProfile').status).toBe('CommandFormatError')
  })

  it('updates the enrollment when the profile brings MDM and fits the one before', () => {
    const next = profileXml({ accessRights: 8191 & ~8 })
    expect(install(phone(), next).consequence).toEqual({ kind: 'update_enrollment', profileXml: next })
    expect(codesOf(install(phone(), profileXml({ topic: 'com.apple.mgmt.External.other' })))).toEqual([12012])
    expect(codesOf(install(phone(), profileXml({ serverUrl: 'https://elsewhere.example.com/mdm' })))).toEqual([12012])
    expect(codesOf(install(phone({ accessRights: 3 }), next))).toEqual([12000])
  })
})

describe('RemoveProfile', () => {
  it('removes what MDM installed, once', () => {
    const memory = phone()
    install(memory, configuration('com.example.wifi'))
    expect(ask(memory, 'RemoveProfile', { Identifier: 'com.example.wifi' })).toEqual({ status: 'Acknowledged' })
    expect(codesOf(ask(memory, 'RemoveProfile', { Identifier: 'com.example.wifi' }))).toEqual([12075, 4024])
  })

  it('does not remove what a person installed', () => {
    const memory = phone()
    install(memory, configuration('com.example.own'))
    for (const profile of memory.state.profiles) profile.managed = false
    expect(codesOf(ask(memory, 'RemoveProfile', { Identifier: 'com.example.own' }))).toEqual([12013])
  })
})

describe('what profiles do', () => {
  const restricting = (identifier: string, keys: EncodableDict) => (
    configuration(identifier, [{ PayloadType: 'com.apple.applicationaccess', ...keys }])
  )

  it('adds up: one that forbids or forces is enough', () => {
    const memory = phone()
    install(memory, restricting('a', { allowCamera: true, forceEncryptedBackup: false, ratingApps: 600 }))
    install(memory, restricting('b', { allowCamera: false, forceEncryptedBackup: true, ratingApps: 200 }))
    install(memory, restricting('c', { allowCamera: true, forceEncryptedBackup: false, ratingApps: 400 }))
    expect(ask(memory, 'Restrictions').fields).toEqual({ GlobalRestrictions: {
      intersection: {}, union: {},
      restrictedBool: { allowCamera: { value: false }, forceEncryptedBackup: { value: true } },
      restrictedValue: { ratingApps: { value: 200 } },
    } })
    const single = ask(memory, 'Restrictions', { ProfileRestrictions: true }).fields?.['ProfileRestrictions']
    expect(single).toMatchObject({ a: { restrictedBool: { allowCamera: { value: true } } } })
  })

  it('asks for a passcode, and SecurityInfo tells when there is none', () => {
    const memory = phone({ passcodePresent: false })
    const policy = { PayloadType: 'com.apple.mobiledevice.passwordpolicy', forcePIN: true }
    install(memory, configuration('com.example.code', [policy]))
    expect(ask(memory, 'SecurityInfo').fields?.['SecurityInfo'])
      .toMatchObject({ PasscodeCompliantWithProfiles: false, PasscodePresent: false })
  })

  it('ends with management, and everything with an erasure', () => {
    const memory = phone({ supervised: true })
    install(memory, configuration('com.example.wifi'))
    ask(memory, 'InstallApplication', { Identifier: 'com.example.crm' })
    forgetManagement(memory)
    expect([memory.state.profiles, memory.state.apps.every((app) => !app.managed)]).toEqual([[], true])
    expect(wipedState(memory)).toMatchObject({ supervised: true, passcodePresent: false, profiles: [], apps: [] })
  })

  it('brings certificates, of which the identity is one', () => {
    const root = selfSigned('a root').certificate.der
    expect(ask(phone({ roots: [root] }), 'CertificateList').fields?.['CertificateList']).toEqual([
      { CommonName: 'an identity', Data: identity.certificate.der, IsIdentity: true },
      { CommonName: 'a root', Data: root, IsIdentity: false },
    ])
  })
})
