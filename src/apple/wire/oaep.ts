import { type DerCursor, type DerValue, enter, explicitTag, finish, next, nextIf, TAG } from './der.ts'
import { oidOf } from './der-types.ts'
import { WireError } from './error.ts'
import { OID } from './oids.ts'
import { type Digest, readDigestAlgorithm } from './signature.ts'

/**
 * The digest that RSAES-OAEP parameters name (RFC 8017 A.2.1; SHA-1 when they name none). OpenSSL uses one digest for
 * both halves of the padding, so a mask function with another digest, or a label, is `WireError('weak_alg')`.
 */
export function readOaepDigest(algorithm: DerCursor): Digest {
  const parameters = nextIf(algorithm, TAG.sequence)
  finish(algorithm)
  if (!parameters) return 'sha1'
  const fields = enter(parameters, TAG.sequence)
  const own = nextIf(fields, explicitTag(0))
  const digest = own ? readDigestAlgorithm(next(enter(own, explicitTag(0)))) : 'sha1'
  const mask = maskDigest(nextIf(fields, explicitTag(1)))
  finish(fields)
  if (mask !== digest) throw new WireError('weak_alg', 'OAEP with two digests')
  return digest
}

function maskDigest(wrapper: DerValue | undefined): Digest {
  if (!wrapper) return 'sha1'
  const mask = enter(next(enter(wrapper, explicitTag(1))), TAG.sequence)
  if (oidOf(next(mask)) !== OID.mgf1) throw new WireError('weak_alg', 'OAEP mask function')
  return readDigestAlgorithm(next(mask))
}
