import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { unwrapPkcs1 } from '../../../src/apple/wire/rsa-unwrap.ts'
import { identity, type Identity } from './pki.ts'

let recipient: Identity

beforeAll(() => {
  recipient = identity('Recipient')
})

describe('unwrapping a content key', () => {
  // A block as it is before RSA, encrypted without padding of openssl's own.
  const encryptBlock = (block: Buffer): Buffer =>
    publicEncrypt({ key: createPublicKey(recipient.key), padding: constants.RSA_NO_PADDING }, block)
  const block = (change: (block: Buffer) => void = () => undefined): Buffer => {
    const made = Buffer.concat([Buffer.from([0, 2]), Buffer.alloc(237, 0x55), Buffer.from([0]), Buffer.alloc(16, 0xab)])
    change(made)
    return encryptBlock(made)
  }
  const secret = Buffer.alloc(16, 0xab)

  it('finds the key behind correct padding', () => {
    expect(unwrapPkcs1(recipient.key, block(), 16)).toEqual(secret)
    const openssls = publicEncrypt(
      { key: createPublicKey(recipient.key), padding: constants.RSA_PKCS1_PADDING },
      secret,
    )
    expect(unwrapPkcs1(recipient.key, openssls, 16)).toEqual(secret)
  })

  it.each<[string, (block: Buffer) => void]>([
    [
      'a first byte that is not zero',
      (bytes) => {
        bytes[0] = 1
      },
    ],
    [
      'another block type',
      (bytes) => {
        bytes[1] = 1
      },
    ],
    [
      'a zero at the beginning of the padding',
      (bytes) => {
        bytes[2] = 0
      },
    ],
    [
      'a zero at the end of the padding',
      (bytes) => {
        bytes[238] = 0
      },
    ],
    [
      'no zero before the key',
      (bytes) => {
        bytes[239] = 7
      },
    ],
  ])('gives a random key, never an error, for %s', (_, change) => {
    const [first, second] = [
      unwrapPkcs1(recipient.key, block(change), 16),
      unwrapPkcs1(recipient.key, block(change), 16),
    ]
    expect(first.length).toBe(16)
    expect(first).not.toEqual(secret)
    expect(second).not.toEqual(first)
  })

  it('gives a random key when the key has another length than the cipher wants', () => {
    expect(unwrapPkcs1(recipient.key, block(), 24).length).toBe(24)
    expect(unwrapPkcs1(recipient.key, block(), 24).subarray(8)).not.toEqual(secret)
    expect(unwrapPkcs1(recipient.key, block(), 8)).not.toEqual(secret.subarray(8))
  })
})
