import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import {
  enrollmentProfile, readEnrollmentProfile, type EnrollmentProfileOptions,
} from '../../src/apple/wire/mobileconfig.ts'
import { encodePlist, type EncodableDict } from '../../src/apple/wire/plist-writer.ts'
import { decodePlist, plistDict, type PlistDict } from '../../src/apple/wire/plist.ts'
import { issueCertificate } from '../../src/apple/wire/x509-issue.ts'
import { distinguishedName } from '../../src/apple/wire/x509-name.ts'
import { readCertificate } from '../../src/apple/wire/x509.ts'
import type { Answer } from '../../src/simulator/answer.ts'
import { answerCommand } from '../../src/simulator/answers.ts'
import { freshSecrets, rememberProfile } from '../../src/simulator/check-in.ts'
import type { DeviceMemory, UserChannel } from '../../src/simulator/device-memory.ts'
import { freshState, type StateChoices } from '../../src/simulator/device-state.ts'
import { makeHardware } from '../../src/simulator/hardware.ts'
import { MODELS, type DeviceModel } from '../../src/simulator/models.ts'
import { peopleOf } from '../../src/simulator/people.ts'

export const NOW = new Date('2026-03-01T08:15:30Z')
export const ENROLLMENT = 'com.example.enrollment'

/** An RSA identity whose certificate is its own issuer. */
export const identity: Signer = selfSigned('an identity')

export function selfSigned(commonName: string): Signer {
  const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const der = issueCertificate({
    subject: distinguishedName([['CN', commonName]]),
    spki: createPublicKey(key).export({ format: 'der', type: 'spki' }),
    serialNumber: randomBytes(16),
    notBefore: new Date('2026-01-01T00:00:00Z'),
    notAfter: new Date('2027-01-01T00:00:00Z'),
    issuer: { selfSigned: key },
    profile: 'device',
  })
  return { certificate: readCertificate(der), key }
}

/** The XML of an enrollment profile. */
export function profileXml(o: Partial<EnrollmentProfileOptions> = {}): Buffer {
  return enrollmentProfile({
    identifier: ENROLLMENT,
    uuid: '11111111-0000-4000-8000-000000000001',
    mdmUuid: '11111111-0000-4000-8000-000000000002',
    scepUuid: '11111111-0000-4000-8000-000000000003',
    displayName: 'Management',
    organization: 'Example',
    description: 'For tests',
    serverUrl: 'https://mdm.example.com/mdm',
    topic: 'com.apple.mgmt.External.8c0f6d52-4b1e-4c53-9f5e-2f1d7a6b9c10',
    accessRights: 8191,
    scep: { url: 'https://mdm.example.com/scep', name: 'Example', challenge: 'once', subject: [['CN', 'device']] },
    ...o,
  })
}

/** An enrolled device that never saw a server. */
export function phone(
  o: StateChoices & { accessRights?: number; model?: DeviceModel; roots?: Buffer[] } = {},
): DeviceMemory {
  const hardware = makeHardware(o.model ?? (MODELS[0] as DeviceModel), 'DMQVGC0DHLF0')
  const xml = profileXml({
    accessRights: o.accessRights ?? 8191, trustRoots: o.roots ?? [],
    serverCapabilities: ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'],
  })
  const profile = readEnrollmentProfile(xml)
  const state = freshState(hardware, o)
  const secrets = freshSecrets({ hardware, state }, profile)
  const memory: DeviceMemory = {
    hardware, state, phase: 'enrolled', enrollment: { profileXml: xml, profile, identity, pushToken: randomBytes(32), users: [], ...secrets },
  }
  rememberProfile(memory)
  return memory
}

/** What the device answers to a command that went over the wire. */
export function ask(memory: DeviceMemory, requestType: string, params: EncodableDict = {}, user?: UserChannel): Answer {
  return answerCommand(memory, commandDict(requestType, params), NOW, user)
}

/** The channel of somebody who is logged in on this device. */
export function userOf(memory: DeviceMemory, user = peopleOf(memory.hardware, memory.state)[0]): UserChannel {
  if (!user) throw new Error('a device without users')
  const channel = { user, loggedIn: true, profiles: [], pushToken: randomBytes(32), pushMagic: 'the magic of a user' }
  memory.enrollment.users.push(channel)
  return channel
}

export function commandDict(requestType: string, params: EncodableDict = {}): PlistDict {
  return plistDict(decodePlist(encodePlist({ RequestType: requestType, ...params })))
}

/** A configuration profile; `payloads` need only what is special about them. */
export function configuration(
  identifier: string, payloads: EncodableDict[] = [{}], envelope: EncodableDict = {},
): Buffer {
  return encodePlist({
    PayloadContent: payloads.map((payload, i) => ({
      PayloadIdentifier: `${identifier}.${i}`,
      PayloadType: 'com.apple.wifi.managed',
      PayloadUUID: `${identifier}-${i}`,
      PayloadVersion: 1,
      ...payload,
    })),
    PayloadDisplayName: 'A profile',
    PayloadIdentifier: identifier,
    PayloadType: 'Configuration',
    PayloadUUID: `${identifier}-envelope`,
    PayloadVersion: 1,
    ...envelope,
  })
}

/** Codes of an error chain, outermost first. */
export function codesOf({ errorChain }: Answer): number[] {
  return (errorChain ?? []).map((item) => item.ErrorCode)
}
