import { randomBytes } from 'node:crypto'
import { verifyAttached } from './cms.ts'
import { encryptTo, openEnvelope, type Recipient } from './cms-envelope.ts'
import { signAttached, type Signer } from './cms-sign.ts'
import { octetString, printableString } from './der-writer.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import { readNonce, readTransactionId, readWord } from './scep-attributes.ts'
import { readSignedData } from './signed-data.ts'
import { type Certificate, readCertificate } from './x509.ts'

/**
 * What a device sends to enroll ('19') or to renew ('17'). `signer` is self-signed at first, the current identity
 * later.
 */
export interface PkcsReq {
  csr: Uint8Array
  signer: Signer
  recipient: Certificate
  messageType: '19' | '17'
  transactionId: string
  cipher?: 'aes-128-cbc' | 'aes-256-cbc' | 'des-ede3-cbc'
  /** 16 random bytes if the device wants to know them again in the answer. */
  senderNonce?: Buffer
}

/** The server's answer; `signer` is the certificate that signed it, which the device must know. */
export interface CertRep {
  status: 'success' | 'failure' | 'pending'
  failInfo?: string
  certificate?: Certificate
  recipientNonce: Buffer
  transactionId: string
  signer: Certificate
}

const STATUSES = new Map<string, CertRep['status']>([['0', 'success'], ['2', 'failure'], ['3', 'pending']])

/** Writes a PKIOperation as a device does (RFC 8894 3.3.1); AES-256 unless another cipher is asked for. */
export function pkcsReq(o: PkcsReq): Buffer {
  return signAttached(encryptTo(o.csr, o.recipient, o.cipher ?? 'aes-256-cbc'), o.signer, {
    attributes: [
      [OID.messageType, printableString(o.messageType)],
      [OID.transactionId, printableString(o.transactionId)],
      [OID.senderNonce, octetString(o.senderNonce ?? randomBytes(16))],
    ],
  })
}

/**
 * Reads a CertRep (RFC 8894 3.3.2) with the key that signed the request. Throws `WireError` as the server's reader
 * does.
 */
export function readCertRep(body: Uint8Array, recipient: Recipient): CertRep {
  const { attributes, content, certificate: signer } = verifyAttached(body)
  const status = STATUSES.get(readWord(attributes, OID.pkiStatus))
  if (readWord(attributes, OID.messageType) !== '3' || !status) throw new WireError('scep_shape', 'not a CertRep')
  return {
    status,
    ...(status === 'failure' && { failInfo: readWord(attributes, OID.failInfo) }),
    ...(status === 'success' && { certificate: readIssued(content, recipient) }),
    recipientNonce: readNonce(attributes, OID.recipientNonce),
    transactionId: readTransactionId(attributes),
    signer,
  }
}

// The issued certificate is the one for the key of the request; that it also comes first is custom, not law.
function readIssued(envelope: Buffer, recipient: Recipient): Certificate {
  const { content } = openEnvelope(envelope, recipient)
  const [first] = readSignedData(content).certificates
  if (!first) throw new WireError('scep_shape', 'no certificate')
  return readCertificate(first)
}
