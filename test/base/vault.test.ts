import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openVault, VaultError } from '../../src/base/vault.ts'

const key = randomBytes(32)
const vault = openVault(key)
const PLACE = 'enrollments.unlock_token:enr_1'
const plain = Buffer.from('what a device entrusted to us')
const sealed = vault.seal(plain, PLACE)

describe('a sealed value', () => {
  it('opens at its place, in every process with the same master key', () => {
    expect(openVault(Buffer.from(key)).open(sealed, PLACE)).toEqual(plain)
  })

  it.each([0, 1, 100_000])('may have %i bytes', (length) => {
    const bytes = randomBytes(length)
    expect(vault.open(vault.seal(bytes, PLACE), PLACE)).toEqual(bytes)
  })

  it('shows nothing of the plain bytes, and is another one each time', () => {
    expect(sealed.includes(plain.subarray(0, 4))).toBe(false)
    expect(vault.seal(plain, PLACE)).not.toEqual(sealed)
  })

  it('is read out of the middle of a larger buffer', () => {
    const larger = Buffer.concat([randomBytes(7), sealed, randomBytes(7)])
    expect(vault.open(new Uint8Array(larger.buffer, larger.byteOffset + 7, sealed.length), PLACE)).toEqual(plain)
  })

  it('does not open at another place', () => {
    for (const place of ['enrollments.unlock_token:enr_2', 'enrollments.bootstrap_token:enr_1', '', `${PLACE} `]) {
      expect(() => vault.open(sealed, place)).toThrow(VaultError)
    }
  })

  it('does not open with another master key', () => {
    expect(() => openVault(randomBytes(32)).open(sealed, PLACE)).toThrow(VaultError)
  })

  it('does not open when any byte of it was changed', () => {
    for (let i = 0; i < sealed.length; i++) {
      const changed = Buffer.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 1
      expect(() => vault.open(changed, PLACE), `byte ${i}`).toThrow(VaultError)
    }
  })

  it('does not open at any other length, whatever is missing or added', () => {
    for (let length = 0; length < sealed.length; length++) {
      expect(() => vault.open(sealed.subarray(0, length), PLACE), `${length} bytes`).toThrow(VaultError)
      expect(() => vault.open(sealed.subarray(sealed.length - length), PLACE)).toThrow(VaultError)
    }
    expect(() => vault.open(Buffer.concat([sealed, Buffer.alloc(1)]), PLACE)).toThrow(VaultError)
  })

  it('tells in its error the place, not the bytes', () => {
    expect(() => vault.open(Buffer.concat([sealed, Buffer.alloc(1)]), PLACE)).toThrow(`cannot open ${PLACE}`)
  })
})

describe('a fingerprint', () => {
  it('is the same for the same secret, purpose and master key only', () => {
    const here = vault.fingerprint('secret', 'code')
    expect(openVault(Buffer.from(key)).fingerprint('secret', 'code')).toEqual(here)
    expect(here).toHaveLength(32)
    const others = [
      vault.fingerprint('secret2', 'code'), vault.fingerprint('secret', 'code2'), vault.fingerprint('code', 'secret'),
      openVault(randomBytes(32)).fingerprint('secret', 'code'),
    ]
    for (const other of others) expect(other).not.toEqual(here)
  })
})

it.each([0, 16, 31, 33, 64])('refuses a master key of %i bytes', (length) => {
  expect(() => openVault(randomBytes(length))).toThrow('the master key must have 32 bytes')
})
