import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Certificate } from '../../src/apple/wire/x509.ts'
import type { EnrollmentId } from '../../src/base/ids.ts'
import { openVault, VaultError } from '../../src/base/vault.ts'
import {
  bindCertificate,
  checkIdentity,
  findCertificate,
  IdentityRefused,
  loadAuthorities,
  revokeAllOf,
  revokeCertificate,
  signProfile,
} from '../../src/features/identity/index.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase } from '../support/pg.ts'
import { ask, certify, challengeFor, makeKey, openHouse, stored, type House } from './scep-device.ts'

let house: House
let folder: string
const key = await makeKey()

beforeAll(async () => {
  house = await openHouse()
  folder = mkdtempSync(join(tmpdir(), 'bramley-identity-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await house.close()
})

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe('the authorities of an installation', () => {
  it('are the same for processes that start at the same moment, and for later ones', async () => {
    const database = await freshDatabase()
    const processes = [testDeps(database.url), testDeps(database.url)]
    const loaded = await Promise.all(processes.map(loadAuthorities))
    loaded.push(await loadAuthorities(processes[0]!))
    const names = loaded.map((one) => [one.deviceCa, one.scepRa, one.profileSigner].map(({ pem }) => pem).join(''))
    expect(new Set(names).size).toBe(1)
    expect(await database.query('select role from authorities order by role')).toHaveLength(3)
    await Promise.all(processes.map((deps) => deps.db.close()))
    await database.drop()
  })

  it('form a chain that OpenSSL accepts, each with its own usage', () => {
    const ca = file('ca.pem', house.authorities.deviceCa.pem)
    for (const [name, { pem }] of [
      ['ra', house.authorities.scepRa],
      ['signer', house.authorities.profileSigner],
    ] as const) {
      expect(
        execFileSync('openssl', ['verify', '-CAfile', ca, file(`${name}.pem`, pem)], { encoding: 'utf8' }),
      ).toContain('OK')
    }
    const ra = execFileSync('openssl', ['x509', '-noout', '-text', '-in', join(folder, 'ra.pem')], { encoding: 'utf8' })
    expect(ra).toMatch(/Digital Signature, Key Encipherment/)
    expect(ra).toMatch(/CN = Bramley SCEP RA [0-9A-F]{6}/)
  })

  it('have keys that the database alone does not give away', async () => {
    const [row] = await house.database.query<{ sealed_key: Buffer }>(
      `select sealed_key from authorities where role = 'device_ca'`,
    )
    const plain = house.authorities.deviceCa.key.export({ type: 'pkcs8', format: 'der' })
    expect(row?.sealed_key.includes(plain.subarray(-64))).toBe(false)
    await expect(loadAuthorities({ ...house.deps, vault: openVault(randomBytes(32)) })).rejects.toThrow(VaultError)
  })

  it('refuse to sign with a key that was moved to another role', async () => {
    const swapped = await freshDatabase()
    await swapped.query(`insert into authorities select * from jsonb_populate_recordset(null::authorities, $1)`, [
      JSON.stringify(
        await house.database.query(`select role, '\\x' || encode(certificate, 'hex') as certificate,
        '\\x' || encode(sealed_key, 'hex') as sealed_key, created_at from authorities`),
      ),
    ])
    await swapped.query(
      `update authorities set sealed_key = (select sealed_key from authorities where role = 'scep_ra')
       where role = 'device_ca'`,
    )
    const deps = testDeps(swapped.url)
    await expect(loadAuthorities(deps)).rejects.toThrow(VaultError)
    await deps.db.close()
    await swapped.drop()
  })

  it('sign a profile that OpenSSL verifies against the CA, and no longer when a byte changed', () => {
    const signed = signProfile(house.authorities, Buffer.from('<plist/>'))
    const verify = (bytes: Buffer) =>
      execFileSync(
        'openssl',
        [
          'cms',
          '-verify',
          '-inform',
          'DER',
          '-in',
          file('signed', bytes),
          '-CAfile',
          file('ca.pem', house.authorities.deviceCa.pem),
          '-purpose',
          'any',
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      )
    expect(verify(signed)).toBe('<plist/>')
    const changed = Buffer.from(signed)
    changed.writeUInt8(changed.readUInt8(signed.indexOf('<plist/>')) ^ 1, signed.indexOf('<plist/>'))
    expect(() => verify(changed)).toThrow(/Command failed/)
  })
})

describe('checkIdentity', () => {
  const HOUR = 3_600_000
  const ours = () => ({ certificate: house.authorities.deviceCa.certificate, key: house.authorities.deviceCa.key })
  const reasonOf = (certificate: Certificate, now = new Date()) => {
    try {
      checkIdentity(house.authorities, certificate, now)
      return 'accepted'
    } catch (error) {
      return error instanceof IdentityRefused ? error.reason : String(error)
    }
  }

  it('accepts a device certificate of our CA', () => {
    expect(reasonOf(certify(key, { issuer: ours() }))).toBe('accepted')
  })

  it('refuses a self-signed clone with the same subject and serial number', () => {
    const real = certify(key, { issuer: ours() })
    const clone = certify(key, { subject: real.subject, serialNumber: Buffer.from(real.serialNumber, 'hex') })
    expect(reasonOf(real)).toBe('accepted')
    expect(reasonOf(clone)).toBe('untrusted_issuer')
  })

  it("refuses a certificate of another CA that has our CA's name", () => {
    const twin = certify(key, { subject: house.authorities.deviceCa.certificate.subject, profile: 'ca' })
    expect(reasonOf(certify(key, { issuer: { certificate: twin, key } }))).toBe('untrusted_issuer')
  })

  it('refuses certificates of our own CA that are for something else', () => {
    const others = [house.authorities.deviceCa, house.authorities.scepRa, house.authorities.profileSigner].map(
      (one) => one.certificate,
    )
    const server = certify(key, { issuer: ours(), profile: 'server' })
    const ca = certify(key, { issuer: ours(), profile: 'ca' })
    expect([...others, server, ca].map((one) => reasonOf(one))).toEqual(Array(5).fill('wrong_usage'))
  })

  it('judges the time on every call, without grace, also for a certificate it knows', () => {
    const certificate = certify(key, { issuer: ours() })
    const at = (time: Date, offset: number) => reasonOf(certificate, new Date(time.getTime() + offset))
    expect(at(certificate.notAfter, 0)).toBe('accepted')
    expect(at(certificate.notAfter, 1)).toBe('expired')
    expect(at(certificate.notBefore, -1)).toBe('not_yet_valid')
    expect(at(certificate.notBefore, 0)).toBe('accepted')
    expect(at(certificate.notAfter, HOUR)).toBe('expired')
  })

  it('refuses what it refused before', () => {
    const stranger = certify(key)
    expect([reasonOf(stranger), reasonOf(stranger)]).toEqual(['untrusted_issuer', 'untrusted_issuer'])
  })
})

describe('the record of a certificate', () => {
  const enrollment = (id: number) => String(id) as EnrollmentId
  const system = { kind: 'system' } as const
  const issued = async () => {
    const { certificate } = await ask(house, { key, challenge: await challengeFor(house, undefined, 'DEVICE-KEY-1') })
    if (!certificate) throw new Error('no certificate')
    return certificate
  }

  it('tells whose it is and whether it lives', async () => {
    const { sha256, serialNumber, notAfter } = await issued()
    expect(await findCertificate(house.deps.db.read, sha256)).toMatchObject({
      serialNumber,
      notAfter,
      purpose: 'enrollment',
      deviceKey: 'DEVICE-KEY-1',
      enrollmentId: null,
      revokedAt: null,
    })
    expect(await findCertificate(house.deps.db.read, randomBytes(32))).toBeUndefined()
  })

  it('is bound once: neither to a second enrollment nor when two try at once', async () => {
    const { sha256 } = await issued()
    const bind = (id: number) => house.deps.work(system, (work) => bindCertificate(work, sha256, enrollment(id)))
    const outcomes = await Promise.allSettled([11, 12, 13, 14].map(bind))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await expect(bind(15)).rejects.toMatchObject({ name: 'IdentityRefused', reason: 'already_bound' })
    await expect(
      house.deps.work(system, (work) => bindCertificate(work, randomBytes(32), enrollment(1))),
    ).rejects.toThrow(IdentityRefused)
  })

  it('is revoked once, with one event, and then bound to nothing', async () => {
    const { sha256, serialNumber } = await issued()
    const revoke = () => house.deps.work(system, (work) => revokeCertificate(work, sha256, 'lost'))
    await revoke()
    const after = await stored(house.database)
    await revoke()
    expect(await stored(house.database)).toBe(after)
    const events = await house.database.query(
      `select data from events where type = 'certificate.revoked' and data->>'serial_number' = $1`,
      [serialNumber],
    )
    expect(events).toEqual([{ data: { serial_number: serialNumber, reason: 'lost' } }])
    await expect(house.deps.work(system, (work) => bindCertificate(work, sha256, enrollment(1)))).rejects.toThrow(
      IdentityRefused,
    )
  })

  it('ends with all others of its enrollment, but not the one that replaces them', async () => {
    const [first, second, foreign] = [await issued(), await issued(), await issued()]
    await house.deps.work(system, async (work) => {
      await bindCertificate(work, first.sha256, enrollment(21))
      await bindCertificate(work, second.sha256, enrollment(21))
      await bindCertificate(work, foreign.sha256, enrollment(22))
      await revokeAllOf(work, enrollment(21), second.sha256, 'superseded')
    })
    const alive = async (one: Certificate) =>
      (await findCertificate(house.deps.db.read, one.sha256))?.revokedAt === null
    expect([await alive(first), await alive(second), await alive(foreign)]).toEqual([false, true, true])
    await house.deps.work(system, (work) => revokeAllOf(work, enrollment(21), undefined, 'removed'))
    expect(await alive(second)).toBe(false)
  })
})
