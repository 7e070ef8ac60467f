import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { WireError } from './error.ts'
import { readP12 } from './p12.ts'
import { decodePem, encodePem, type PemBlock } from './pem.ts'
import { type Certificate, readCertificate } from './x509.ts'

/** The certificate and key an administrator brings: one PEM text with both, two PEM texts, or a PKCS#12 file. */
export type PushCertificateInput =
  | { pem?: string }
  | { certificatePem: string; keyPem: string; keyPassphrase?: string }
  | { p12: Buffer; password: string }

/**
 * An Apple MDM push certificate with its key. `topic` is the UID of the subject; `chain` is whatever else was in the
 * file.
 */
export interface ReadPushCertificate {
  certificate: Certificate
  key: KeyObject
  topic: string
  chain: Certificate[]
}

interface Material {
  certificates: Certificate[]
  key: KeyObject | undefined
}

const TOPIC_PREFIX = 'com.apple.mgmt.'

/**
 * Reads an Apple MDM push certificate and tells it from everything people upload in its place. Says nothing about its
 * validity time. Throws `WireError`: 'not_pem', 'no_certificate', 'no_key', 'bad_password', 'p12', 'key_mismatch',
 * 'vendor_certificate' (an MDM vendor's CSR-signing certificate), 'no_topic', 'wrong_topic_prefix' (a push
 * certificate of an app), 'asn1'. Apple, "Setting up push notifications for your MDM customers".
 */
export async function readPushCertificate(input: PushCertificateInput): Promise<ReadPushCertificate> {
  const { certificates, key } = 'p12' in input ? await fromP12(input) : fromPem(input)
  const publicDer = key && spkiOf(createPublicKey(key))
  const own = certificates.find((certificate) => publicDer && spkiOf(certificate.publicKey).equals(publicDer))
  const certificate = own ?? certificates.find(({ isCa }) => !isCa) ?? certificates[0]
  if (!certificate) throw new WireError('no_certificate')
  if (isVendorCertificate(certificate)) throw new WireError('vendor_certificate')
  if (!key) throw new WireError('no_key')
  if (!own) throw new WireError('key_mismatch')
  return { certificate, key, topic: topicOf(certificate), chain: certificates.filter((other) => other !== certificate) }
}

function topicOf({ userId }: Certificate): string {
  if (userId === undefined) throw new WireError('no_topic')
  if (!userId.startsWith(TOPIC_PREFIX)) throw new WireError('wrong_topic_prefix')
  return userId
}

// It comes from the same kind of page at Apple and is uploaded by mistake again and again.
function isVendorCertificate({ commonName, userId }: Certificate): boolean {
  return !userId?.startsWith(TOPIC_PREFIX) && (commonName?.includes('MDM Vendor') ?? false)
}

function fromPem(input: Exclude<PushCertificateInput, { p12: Buffer }>): Material {
  if (!('certificatePem' in input)) return pick(decodePem(input.pem ?? ''), undefined)
  const blocks = [...decodePem(input.certificatePem), ...decodePem(input.keyPem)]
  return pick(blocks, input.keyPassphrase)
}

function pick(blocks: PemBlock[], passphrase: string | undefined): Material {
  const certificates = blocks.filter(({ label }) => /^(X509 |TRUSTED )?CERTIFICATE$/.test(label))
  const key = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))
  return {
    certificates: certificates.map(({ der }) => readCertificate(der)),
    key: key && readPrivateKey(key, passphrase),
  }
}

async function fromP12({ p12, password }: { p12: Buffer; password: string }): Promise<Material> {
  const { certificates, key } = await readP12(p12, password)
  const block = key && { label: 'PRIVATE KEY', der: key }
  return { certificates: certificates.map(readCertificate), key: block && readPrivateKey(block, undefined) }
}

function readPrivateKey({ label, der, headers }: PemBlock, passphrase: string | undefined): KeyObject {
  const encrypted = label.startsWith('ENCRYPTED') || headers !== undefined
  const body = encodePem(label, der)
  const pem = headers === undefined ? body : body.replace('\n', `\n${headers}\n`)
  try {
    return createPrivateKey({ key: pem, format: 'pem', ...(passphrase !== undefined && { passphrase }) })
  } catch {
    throw new WireError(encrypted ? 'bad_password' : 'no_key', 'the key cannot be read')
  }
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' })
}
