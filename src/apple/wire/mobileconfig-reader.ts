import { z } from 'zod'
import { WireError } from './error.ts'
import { decodePlist } from './plist.ts'
import { parseShape } from './schema.ts'

/** What a device takes from an enrollment profile. `checkInUrl` is `serverUrl` when the profile names none. */
export interface EnrollmentProfile {
  identifier: string
  consentText?: string | undefined
  serverUrl: string
  checkInUrl: string
  topic: string
  accessRights?: number | undefined
  /** What the server says it can do, such as `com.apple.mdm.per-user-connections`. */
  serverCapabilities: string[]
  signMessage: boolean
  checkOutWhenRemoved: boolean
  scep: {
    url: string
    name: string
    challenge: string
    subject: [string, string][]
    keySize: number
    caFingerprint?: Buffer | undefined
  }
  /** DER certificates to trust. */
  roots: Buffer[]
}

const data = z.instanceof(Buffer)
const envelope = z.object({
  PayloadType: z.literal('Configuration'),
  PayloadIdentifier: z.string(),
  ConsentText: z.object({ default: z.string() }).optional(),
  PayloadContent: z.array(z.looseObject({ PayloadType: z.string(), PayloadUUID: z.string() })),
})
const mdmPayload = z.object({
  AccessRights: z.number().int().optional(),
  CheckInURL: z.string().optional(),
  CheckOutWhenRemoved: z.boolean().default(false),
  IdentityCertificateUUID: z.string(),
  ServerCapabilities: z.array(z.string()).default([]),
  ServerURL: z.string(),
  SignMessage: z.boolean().default(false),
  Topic: z.string(),
})
const scepPayload = z.object({
  PayloadContent: z.object({
    CAFingerprint: data.optional(),
    Challenge: z.string().default(''),
    // Apple's default. Ours is always written out.
    Keysize: z.number().int().default(1024),
    Name: z.string().default(''),
    Subject: z.array(z.array(z.tuple([z.string(), z.string()]))).default([]),
    URL: z.string(),
  }),
})
const rootPayload = z.object({ PayloadContent: data })

/**
 * Reads an unsigned enrollment profile with a SCEP identity, as a device would. Throws WireError: what `decodePlist`
 * throws, 'type' and 'value' for keys that do not fit, 'profile' when the MDM payload or its identity is missing.
 */
export function readEnrollmentProfile(xml: Uint8Array): EnrollmentProfile {
  const { PayloadIdentifier, ConsentText, PayloadContent: payloads } = parseShape(envelope, decodePlist(xml))
  const ofType = (type: string) => payloads.filter((payload) => payload.PayloadType === type)
  const mdm = parseShape(mdmPayload, found(ofType('com.apple.mdm')[0]))
  const identity = ofType('com.apple.security.scep').find((scep) => scep.PayloadUUID === mdm.IdentityCertificateUUID)
  return {
    identifier: PayloadIdentifier,
    consentText: ConsentText?.default,
    ...management(mdm),
    scep: scepRequest(parseShape(scepPayload, found(identity))),
    roots: ofType('com.apple.security.root').map((root) => parseShape(rootPayload, root).PayloadContent),
  }
}

function management(mdm: z.infer<typeof mdmPayload>) {
  return {
    serverUrl: mdm.ServerURL,
    checkInUrl: mdm.CheckInURL ?? mdm.ServerURL,
    topic: mdm.Topic,
    accessRights: mdm.AccessRights,
    serverCapabilities: mdm.ServerCapabilities,
    signMessage: mdm.SignMessage,
    checkOutWhenRemoved: mdm.CheckOutWhenRemoved,
  }
}

function scepRequest({ PayloadContent: scep }: z.infer<typeof scepPayload>): EnrollmentProfile['scep'] {
  return {
    url: scep.URL,
    name: scep.Name,
    challenge: scep.Challenge,
    subject: scep.Subject.flat(),
    keySize: scep.Keysize,
    caFingerprint: scep.CAFingerprint,
  }
}

function found<T>(payload: T | undefined): T {
  if (payload === undefined) throw new WireError('profile', 'no MDM payload with a SCEP identity')
  return payload
}
