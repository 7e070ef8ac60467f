import { describe, expect, it } from 'vitest'
import {
  ACCESS_RIGHTS, checkAccessRights, enrollmentProfile, readEnrollmentProfile, type EnrollmentProfileOptions,
} from '../../../src/apple/wire/mobileconfig.ts'
import { decodePlist, plistDict, type PlistDict } from '../../../src/apple/wire/plist.ts'
import { encodePlist } from '../../../src/apple/wire/plist-writer.ts'
import { reasonOf } from './reason-of.ts'

const ROOTS = [Buffer.from('3082000101', 'hex'), Buffer.from('3082000202', 'hex')]
const options: EnrollmentProfileOptions = {
  identifier: 'com.example.mdm',
  uuid: '11111111-1111-4111-8111-111111111111',
  mdmUuid: '22222222-2222-4222-8222-222222222222',
  scepUuid: '33333333-3333-4333-8333-333333333333',
  displayName: 'Example Management',
  organization: 'Example & Co',
  description: 'Brings this iPhone under management.',
  consentText: 'We see \u2026\nWe never see \u2026',
  serverUrl: 'https://mdm.example.com/mdm',
  checkInUrl: 'https://mdm.example.com/mdm/checkin',
  topic: 'com.apple.mgmt.External.8c0f6d52-4b1e-4c53-9f5e-2f1d7a6b9c10',
  accessRights: 8191,
  serverCapabilities: ['com.apple.mdm.bootstraptoken'],
  scep: {
    url: 'https://mdm.example.com/scep', name: 'Example', challenge: 'once', subject: [['O', 'Example'], ['CN', 'a1']],
    keySize: 2048, caFingerprint: Buffer.alloc(32, 7),
  },
  trustRoots: ROOTS,
  removalDisallowed: true,
}

describe('enrollmentProfile', () => {
  it('is a configuration with everything Apple asks of one', () => {
    expect(decoded(options)).toMatchObject({
      PayloadType: 'Configuration', PayloadVersion: 1, PayloadIdentifier: 'com.example.mdm', PayloadUUID: options.uuid,
      PayloadDisplayName: 'Example Management', PayloadOrganization: 'Example & Co', PayloadRemovalDisallowed: true,
      PayloadDescription: 'Brings this iPhone under management.', ConsentText: { default: options.consentText },
    })
  })

  it('puts trust first, then the identity, then management', () => {
    expect(payloads(options).map((payload) => payload['PayloadType'])).toEqual([
      'com.apple.security.root', 'com.apple.security.root', 'com.apple.security.scep', 'com.apple.mdm',
    ])
  })

  it('gives every payload its own identifier and UUID, the same each time', () => {
    const uuids = payloads(options).map((payload) => payload['PayloadUUID'])
    expect(new Set([...uuids, ...payloads(options).map((payload) => payload['PayloadIdentifier'])]).size).toBe(8)
    for (const uuid of uuids) expect(uuid).toMatch(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/)
    expect(enrollmentProfile(options)).toEqual(enrollmentProfile(options))
  })

  it('makes the device sign every message, say good-bye, and prove itself with the SCEP identity', () => {
    expect(payloads(options).at(-1)).toMatchObject({
      SignMessage: true, CheckOutWhenRemoved: true, IdentityCertificateUUID: options.scepUuid, AccessRights: 8191,
      ServerURL: options.serverUrl, CheckInURL: options.checkInUrl, Topic: options.topic,
      ServerCapabilities: ['com.apple.mdm.bootstraptoken'],
    })
  })

  it('spells the keys of SCEP as Apple does, spaces and all', () => {
    expect(payloads(options).at(-2)?.['PayloadContent']).toEqual({
      URL: 'https://mdm.example.com/scep', Name: 'Example', Challenge: 'once', Keysize: 2048, 'Key Type': 'RSA',
      'Key Usage': 5, Subject: [[['O', 'Example']], [['CN', 'a1']]], CAFingerprint: Buffer.alloc(32, 7), Retries: 3,
      RetryDelay: 10,
    })
  })

  it('leaves out what was not asked for', () => {
    const plain = {
      ...options, consentText: undefined, checkInUrl: undefined, serverCapabilities: undefined, trustRoots: undefined,
      removalDisallowed: undefined,
    }
    const profile = decoded(plain)
    expect(profile).not.toHaveProperty('ConsentText')
    expect(profile).not.toHaveProperty('PayloadRemovalDisallowed')
    expect(payloads(plain)).toHaveLength(2)
    expect(payloads(plain)[1]).not.toHaveProperty('CheckInURL')
    expect(payloads(plain)[1]).not.toHaveProperty('ServerCapabilities')
  })

  it('refuses what devices refuse', () => {
    expect(reasonOf(() => enrollmentProfile({ ...options, accessRights: 2 }))).toBe('access_rights')
    expect(reasonOf(() => enrollmentProfile({ ...options, topic: 'com.example.app' }))).toBe('topic')
    expect(reasonOf(() => enrollmentProfile({ ...options, serverUrl: 'http://mdm.example.com' }))).toBe('url')
    expect(reasonOf(() => enrollmentProfile({ ...options, serverUrl: 'http://localhost.example.com/mdm' }))).toBe('url')
    expect(reasonOf(() => enrollmentProfile({ ...options, checkInUrl: 'mdm.example.com' }))).toBe('url')
  })
})

describe('readEnrollmentProfile', () => {
  it('reads what a device needs', () => {
    expect(readEnrollmentProfile(enrollmentProfile(options))).toEqual({
      identifier: 'com.example.mdm', consentText: options.consentText, serverUrl: options.serverUrl,
      checkInUrl: options.checkInUrl, topic: options.topic, accessRights: 8191, signMessage: true,
      serverCapabilities: options.serverCapabilities, checkOutWhenRemoved: true, scep: { ...options.scep }, roots: ROOTS,
    })
  })

  it('checks in at the server URL when no other is named', () => {
    const { checkInUrl: _, ...plain } = options
    expect(readEnrollmentProfile(enrollmentProfile(plain)).checkInUrl).toBe(options.serverUrl)
  })

  it('expects nothing of a server that promises nothing', () => {
    const { serverCapabilities: _, ...plain } = options
    expect(readEnrollmentProfile(enrollmentProfile(plain)).serverCapabilities).toEqual([])
  })

  it('takes the identity that the MDM payload names', () => {
    const other = plistDict({ ...payloads(options)[2], PayloadUUID: 'other', PayloadContent: { URL: 'https://evil' } })
    const profile = encodePlist({ ...decoded(options), PayloadContent: [other, ...payloads(options)] })
    expect(readEnrollmentProfile(profile).scep.url).toBe('https://mdm.example.com/scep')
  })

  it('refuses a profile that enrolls nobody', () => {
    const [root, , scep, mdm] = payloads(options)
    const withPayloads = (...content: (PlistDict | undefined)[]) => {
      const profile = encodePlist({ ...decoded(options), PayloadContent: content.map((payload) => payload ?? {}) })
      return reasonOf(() => readEnrollmentProfile(profile))
    }
    expect(withPayloads(root)).toBe('profile')
    expect(withPayloads(mdm)).toBe('profile')
    expect(withPayloads({ ...scep, PayloadUUID: 'other' }, mdm)).toBe('profile')
    expect(withPayloads({ ...mdm, Topic: 1 }, scep)).toBe('type')
    expect(withPayloads({ ...scep, PayloadContent: { URL: 7 } }, mdm)).toBe('type')
    expect(reasonOf(() => readEnrollmentProfile(encodePlist([])))).toBe('type')
  })
})

describe('access rights', () => {
  it('are thirteen bits with the sum of all', () => {
    expect(ACCESS_RIGHTS).toHaveLength(13)
    expect(ACCESS_RIGHTS.reduce((sum, right) => sum | right.bit, 0)).toBe(8191)
    expect(new Set(ACCESS_RIGHTS.map((right) => right.name)).size).toBe(13)
  })

  for (const rights of [1, 3, 64, 192, 4096, 8191, 8191 - 2, 8191 - 128]) {
    it(`may be ${rights}`, () => expect(checkAccessRights(rights)).toBeUndefined())
  }

  const refusals: [number, RegExp][] = [
    [0, /at least one/], [-1, /at least one/], [1.5, /at least one/], [NaN, /at least one/], [8192, /8191/],
    [2, /\(2\) needs .*\(1\)/], [8190, /\(2\) needs .*\(1\)/], [128, /\(128\) needs .*\(64\)/], [8191 - 64, /\(128\)/],
  ]
  for (const [rights, reason] of refusals) {
    it(`may not be ${rights}`, () => expect(checkAccessRights(rights)).toMatch(reason))
  }
})

function decoded(o: EnrollmentProfileOptions): PlistDict {
  return plistDict(decodePlist(enrollmentProfile(o)))
}

function payloads(o: EnrollmentProfileOptions): PlistDict[] {
  const content = decoded(o)['PayloadContent']
  return Array.isArray(content) ? content.map(plistDict) : []
}
