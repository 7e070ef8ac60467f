import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCsr } from '../../src/apple/wire/csr.ts'
import { WireError } from '../../src/apple/wire/error.ts'
import { readSignedData } from '../../src/apple/wire/signed-data.ts'
import { nameParts, readCertificate, type Certificate } from '../../src/apple/wire/x509.ts'
import { newId } from '../../src/base/ids.ts'
import { recordEvent } from '../../src/features/audit/index.ts'
import { answerScep, findCertificate } from '../../src/features/identity/index.ts'
import {
  ask,
  challengeFor,
  expectRefused,
  freshAddress,
  makeKey,
  nameOf,
  openHouse,
  stored,
  type House,
} from './scep-device.ts'

let house: House
let folder: string
let failNextIssue = false
const [key, other] = await Promise.all([makeKey(), makeKey()])

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bramley-scep-'))
  house = await openHouse({
    react: async (work, event) => {
      await recordEvent(work, event)
      if (event.type !== 'certificate.issued' || !failNextIssue) return
      failNextIssue = false
      throw new Error('the process dies')
    },
  })
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await house.close()
})

const opensslText = (certificate: Certificate) =>
  execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-text'], { input: certificate.der, encoding: 'utf8' })

describe('what a client asks first', () => {
  const get = (operation: string) =>
    answerScep(house.deps, house.authorities, { operation, remoteAddress: freshAddress() }, house.hooks)

  it('GetCACaps lists what iPhones need, and never single DES', async () => {
    const { contentType, body } = await get('GetCACaps')
    expect(contentType).toBe('text/plain')
    const lines = body.toString().trim().split('\n')
    expect(lines).toEqual(expect.arrayContaining(['Renewal', 'SHA-256', 'AES', 'SCEPStandard', 'POSTPKIOperation']))
    expect(lines).not.toContain('DES')
  })

  it('GetCACert carries RA and CA, and an RA that may both sign and encrypt, as Apple wants it', async () => {
    const { contentType, body } = await get('GetCACert')
    expect(contentType).toBe('application/x-x509-ca-ra-cert')
    const [ra, ca] = readSignedData(body).certificates.map((der) => readCertificate(der))
    expect(ra?.sha256).toEqual(house.authorities.scepRa.certificate.sha256)
    expect(ca?.sha256).toEqual(house.authorities.deviceCa.certificate.sha256)
    expect(ra?.keyUsage).toBe(1 | 4)
  })

  it('anything else is no SCEP', async () => {
    await expect(get('GetNextCACert')).rejects.toThrow(WireError)
    await expect(get('PKIOperation')).rejects.toThrow(WireError)
  })
})

describe('a first certificate', () => {
  it.each(['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc'] as const)(
    'is issued for a challenge, asked for with %s',
    async (cipher) => {
      const attempt = newId('att')
      const challenge = await challengeFor(house, attempt, 'UDID-OF-A-PHONE')
      const { certificate, status } = await ask(house, { key, challenge, cipher })
      expect(status).toBe('success')
      expect(nameParts(certificate!.subject)).toEqual([
        ['O', 'Bramley'],
        ['CN', attempt],
      ])
      const text = opensslText(certificate!)
      expect(text).toMatch(/CA:FALSE[^]*Digital Signature, Key Encipherment[^]*TLS Web Client Authentication/)
      const days = (certificate!.notAfter.getTime() - Date.now()) / 86_400_000
      expect(days).toBeGreaterThan(364.9)
      expect(days).toBeLessThan(365.1)
      expect(Date.now() - certificate!.notBefore.getTime()).toBeGreaterThan(3_599_000)
      expect(await findCertificate(house.deps.db.read, certificate!.sha256)).toMatchObject({
        attemptId: attempt,
        deviceKey: 'UDID-OF-A-PHONE',
        purpose: 'enrollment',
        enrollmentId: null,
      })
      const events = await house.database.query(`select data from events where data->>'serial_number' = $1`, [
        certificate!.serialNumber,
      ])
      expect(events).toEqual([{ data: { attempt, serial_number: certificate!.serialNumber, purpose: 'enrollment' } }])
    },
  )

  it('is given once, however many ask at the same moment with different keys', async () => {
    const challenge = await challengeFor(house)
    const before = await house.database.query('select sha256 from certificates')
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(house, { key: i % 2 ? key : other, challenge })),
    )
    expect(answers.filter(({ status }) => status === 'success')).toHaveLength(1)
    expect(answers.filter(({ failInfo }) => failInfo === '2')).toHaveLength(19)
    expect(await house.database.query('select sha256 from certificates')).toHaveLength(before.length + 1)
  })

  it('survives the death of the process while it is issued: the challenge is unused and works again', async () => {
    const challenge = await challengeFor(house)
    const before = await stored(house.database)
    failNextIssue = true
    await expect(ask(house, { key, challenge })).rejects.toThrow('the process dies')
    expect(await stored(house.database)).toBe(before)
    expect((await ask(house, { key, challenge })).status).toBe('success')
  })

  it('carries nothing of the request but the key: no CA, no server, no names', async () => {
    const attempt = newId('att')
    const config = `[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\nreq_extensions=ext\nstring_mask=utf8only
[dn]\n0.CN=att_OF_ANOTHER_PHONE\n1.CN=mdm.example.com\nemailAddress=root@example.com
[at]\nchallengePassword=${await challengeFor(house, attempt)}
[ext]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nextendedKeyUsage=serverAuth
subjectAltName=DNS:mdm.example.com,email:a@b.c\n`
    writeFileSync(join(folder, 'key.pem'), key.export({ type: 'pkcs8', format: 'pem' }))
    writeFileSync(join(folder, 'csr.cnf'), config)
    const csr = execFileSync('openssl', [
      'req',
      '-new',
      '-outform',
      'DER',
      '-config',
      join(folder, 'csr.cnf'),
      '-key',
      join(folder, 'key.pem'),
    ])
    const { certificate } = await ask(house, { key, csr })
    expect(nameParts(certificate!.subject)).toEqual([
      ['O', 'Bramley'],
      ['CN', attempt],
    ])
    const text = opensslText(certificate!)
    expect(text).toContain('CA:FALSE')
    expect(text).not.toMatch(/Alternative Name|Server Authentication|Certificate Sign|example\.com|OF_ANOTHER/)
  })
})

describe('the same request again, because its answer was lost', () => {
  const first = async () => {
    const challenge = await challengeFor(house)
    const csr = createCsr({ subject: nameOf('phone'), key, challengePassword: challenge })
    const o = { key, csr, challenge, transactionId: randomBytes(8).toString('hex') }
    const { certificate } = await ask(house, o)
    return { ...o, certificate: certificate! }
  }

  it('gets the same certificate, and nothing new is stored', async () => {
    const o = await first()
    const before = await stored(house.database)
    const again = await Promise.all([ask(house, o), ask(house, o)])
    expect(again.map(({ certificate }) => certificate?.serialNumber)).toEqual([
      o.certificate.serialNumber,
      o.certificate.serialNumber,
    ])
    expect(await stored(house.database)).toBe(before)
  })

  it('with another request under the same transactionID, or the same one under another, gets nothing', async () => {
    const o = await first()
    await expectRefused(
      house,
      { ...o, csr: createCsr({ subject: nameOf('x'), key, challengePassword: o.challenge }) },
      'challenge_used',
    )
    await expectRefused(house, { ...o, transactionId: 'another' }, 'challenge_used')
  })

  it('gets nothing after ten minutes, nor when the certificate was revoked', async () => {
    const [late, revoked] = [await first(), await first()]
    await house.database.query(
      `update scep_challenges set used_at = now() - interval '10 minutes 1 second' where certificate_sha256 = $1`,
      [late.certificate.sha256],
    )
    await expectRefused(house, late, 'challenge_used')
    await house.database.query('update certificates set revoked_at = now() where sha256 = $1', [
      revoked.certificate.sha256,
    ])
    await expectRefused(house, revoked, 'revoked')
  })
})
