import { type KeyObject, sign, verify } from 'node:crypto'
import { contentOf, type DerCursor, type DerValue, enter, finish, next, nextIf, TAG } from './der.ts'
import { nullValue, oid, sequence } from './der-writer.ts'
import { oidOf } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'

export type Digest = 'sha1' | 'sha256' | 'sha384' | 'sha512'

/** How a signature was made. `digest` is undefined for plain rsaEncryption, where CMS names the digest elsewhere. */
export interface SignatureAlgorithm {
  keyType: 'rsa' | 'ec'
  digest: Digest | undefined
}

const DIGESTS: Record<string, Digest> = {
  [OID.sha1]: 'sha1',
  [OID.sha256]: 'sha256',
  [OID.sha384]: 'sha384',
  [OID.sha512]: 'sha512',
}

// What is not in here (MD5, RSA-PSS, DSA, Ed25519 …) is refused.
const SIGNATURES: Record<string, SignatureAlgorithm> = {
  [OID.rsaEncryption]: { keyType: 'rsa', digest: undefined },
  [OID.sha1WithRsa]: { keyType: 'rsa', digest: 'sha1' },
  [OID.sha256WithRsa]: { keyType: 'rsa', digest: 'sha256' },
  [OID.sha384WithRsa]: { keyType: 'rsa', digest: 'sha384' },
  [OID.sha512WithRsa]: { keyType: 'rsa', digest: 'sha512' },
  [OID.ecdsaWithSha1]: { keyType: 'ec', digest: 'sha1' },
  [OID.ecdsaWithSha256]: { keyType: 'ec', digest: 'sha256' },
  [OID.ecdsaWithSha384]: { keyType: 'ec', digest: 'sha384' },
  [OID.ecdsaWithSha512]: { keyType: 'ec', digest: 'sha512' },
}

/** Reads the AlgorithmIdentifier of a digest: SHA-1 or SHA-2. Others are `WireError('weak_alg')`. */
export function readDigestAlgorithm(value: DerValue): Digest {
  const name = readAlgorithm(value)
  const digest = DIGESTS[name]
  if (!digest) throw new WireError('weak_alg', `digest ${name}`)
  return digest
}

/** Reads the AlgorithmIdentifier of a signature: RSA PKCS#1 v1.5 or ECDSA. Others are `WireError('weak_alg')`. */
export function readSignatureAlgorithm(value: DerValue): SignatureAlgorithm {
  const algorithm = findSignatureAlgorithm(value)
  if (!algorithm) throw new WireError('weak_alg', 'signature algorithm')
  return algorithm
}

/** The same, with undefined for an algorithm we do not accept. */
export function findSignatureAlgorithm(value: DerValue): SignatureAlgorithm | undefined {
  return SIGNATURES[readAlgorithm(value)]
}

/** Whether this key made this signature. Whatever OpenSSL cannot digest counts as no. */
export function verifySignature(digest: Digest, data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(digest, data, key, signature)
  } catch {
    return false
  }
}

/** The AlgorithmIdentifier of what `makeSignature` makes with this key. */
export function signatureAlgorithm(key: KeyObject, digest: 'sha1' | 'sha256' = 'sha256'): Buffer {
  if (key.asymmetricKeyType === 'ec') return sequence(oid(digest === 'sha1' ? OID.ecdsaWithSha1 : OID.ecdsaWithSha256))
  return sequence(oid(digest === 'sha1' ? OID.sha1WithRsa : OID.sha256WithRsa), nullValue)
}

/** Signs: RSA PKCS#1 v1.5 or ECDSA, with SHA-256, or with SHA-1 as iPhones do. */
export function makeSignature(data: Uint8Array, key: KeyObject, digest: 'sha1' | 'sha256' = 'sha256'): Buffer {
  return sign(digest, data, key)
}

function readAlgorithm(value: DerValue): string {
  const algorithm = enter(value, TAG.sequence)
  const name = oidOf(next(algorithm))
  // Parameters of others (RSA-PSS) would have to be judged; those we accept have none, or NULL.
  if (name in DIGESTS || name in SIGNATURES) noParameters(algorithm)
  return name
}

function noParameters(algorithm: DerCursor): void {
  const parameters = nextIf(algorithm, TAG.null)
  if (parameters && contentOf(parameters).length > 0) throw new WireError('asn1', 'NULL with content')
  finish(algorithm)
}
