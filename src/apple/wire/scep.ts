import { randomBytes } from 'node:crypto'
import { verifyAttached } from './cms.ts'
import { encryptTo, openEnvelope, type Recipient } from './cms-envelope.ts'
import { certificatesOnly, signAttached } from './cms-sign.ts'
import type { ContentCipher } from './content-cipher.ts'
import { type Csr, readCsr } from './csr.ts'
import { octetString, printableString } from './der-writer.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import { readNonce, readTransactionId, readWord } from './scep-attributes.ts'
import { type Certificate, checkDeviceCertificateSize } from './x509.ts'

/** A SCEP request (RFC 8894 3.2), its outer signature verified, its envelope still closed. */
export interface PkiMessage {
  /** '19' PKCSReq, '17' RenewalReq; others are named by RFC 8894 3.2.1.2 and may be anything. */
  messageType: string
  transactionId: string
  senderNonce: Buffer
  /** Who signed: a throw-away certificate of the new key, or the identity to be renewed. Not yet trusted. */
  signer: Certificate
  envelope: Buffer
}

/** 0 badAlg, 1 badMessageCheck, 2 badRequest, 3 badTime, 4 badCertId (RFC 8894 3.2.1.4). */
export type FailInfo = 0 | 1 | 2 | 3 | 4

const CAPABILITIES = ['Renewal', 'SHA-256', 'AES', 'SCEPStandard', 'POSTPKIOperation', 'DES3', 'SHA-1']

/**
 * Reads a PKIOperation and verifies its outer signature. Missing or odd attributes are `WireError('scep_shape')`; for
 * the rest see `verifyAttached`.
 */
export function readPkiMessage(body: Uint8Array): PkiMessage {
  const { certificate, content, attributes } = verifyAttached(body)
  const messageType = readWord(attributes, OID.messageType)
  const transactionId = readTransactionId(attributes)
  const senderNonce = readNonce(attributes, OID.senderNonce)
  checkDeviceCertificateSize(certificate)
  if (content.length === 0) throw new WireError('scep_shape', 'no envelope')
  return { messageType, transactionId, senderNonce, signer: certificate, envelope: content }
}

/**
 * Opens the envelope and reads the request inside, its own signature verified. Throws `WireError('envelope')` for
 * whatever may come from meddling with the ciphertext, up to a request that its key did not sign: answers that
 * differed would let a stranger read a captured envelope byte by byte. Besides that: 'asn1' for what is no envelope,
 * and 'weak_key' once the request is known to be genuine.
 */
export function openPkiMessage(message: PkiMessage, ra: Recipient): { csr: Csr; cipher: ContentCipher } {
  const { content, cipher } = openEnvelope(message.envelope, ra)
  try {
    return { csr: readCsr(content), cipher }
  } catch (error) {
    if (error instanceof WireError && error.reason !== 'weak_key') throw new WireError('envelope', error.message)
    throw error
  }
}

/**
 * The CertRep that hands over a certificate, issued one first, encrypted to the signer of the request with a cipher
 * no weaker than the request's and known to its sender.
 */
export function successRep(
  message: PkiMessage,
  issued: Certificate,
  o: { ra: Recipient; chain: Certificate[]; cipher: ContentCipher },
): Buffer {
  const certificates = certificatesOnly([issued, ...o.chain])
  return certRep(message, encryptTo(certificates, message.signer, replyCipher(o.cipher)), o.ra, [
    [OID.pkiStatus, printableString('0')],
  ])
}

/** The CertRep that refuses. */
export function failureRep(message: PkiMessage, failInfo: FailInfo, ra: Recipient): Buffer {
  return certRep(message, Buffer.alloc(0), ra, [
    [OID.pkiStatus, printableString('2')],
    [OID.failInfo, printableString(String(failInfo))],
  ])
}

/** The answer to GetCACaps: one capability a line. DES3 and SHA-1 are for old clients; single DES is never offered. */
export const caCapabilities = (): string => `${CAPABILITIES.join('\n')}\n`

/** The answer to GetCACert when there is more than one certificate. */
export const certsOnly = (certificates: Certificate[]): Buffer => certificatesOnly(certificates)

// Who asks in single DES has triple DES too; every client of ours that has AES-192 has AES-256.
function replyCipher(cipher: ContentCipher): 'aes-128-cbc' | 'aes-256-cbc' | 'des-ede3-cbc' {
  if (cipher === 'des-cbc') return 'des-ede3-cbc'
  return cipher === 'aes-192-cbc' ? 'aes-256-cbc' : cipher
}

function certRep(message: PkiMessage, content: Buffer, ra: Recipient, status: [string, Buffer][]): Buffer {
  return signAttached(content, ra, {
    attributes: [
      [OID.messageType, printableString('3')],
      ...status,
      [OID.transactionId, printableString(message.transactionId)],
      [OID.recipientNonce, octetString(message.senderNonce)],
      [OID.senderNonce, octetString(randomBytes(16))],
    ],
  })
}
