import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePem } from '../../src/apple/wire/pem.ts'
import { openAuthority } from '../../src/simulator/apns-authority.ts'
import { certificateAuthority, certify } from '../support/attacks.ts'
import { dumpTables, startBramley, still, TOPIC, type TestServer } from '../support/bramley.ts'
import { call } from '../support/compat.ts'
import { enrolledDevice } from '../support/raw-device.ts'

let server: TestServer
beforeAll(async () => {
  server = await startBramley()
  await enrolledDevice(server, '00008150-00000000000A')
})
afterAll(() => server.stop())

describe('/v1/pushcert', () => {
  const pair = () => server.apns.issuePushCertificate(TOPIC)

  it('takes certificate and key in any order, glued together or not, and renews', async () => {
    const { certificatePem, keyPem } = pair()
    for (const body of [certificatePem + keyPem, keyPem + certificatePem, certificatePem.trimEnd() + keyPem]) {
      const answer = await call(server, 'PUT', '/v1/pushcert', body)
      expect(answer.status).toBe(200)
      expect(answer.body.toString()).toMatch(new RegExp(`^\\{\\n\\t"not_after": "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",\\n\\t"topic": "${TOPIC}"\\n\\}\\n$`))
    }
    const [row] = await server.db.query<{ version: number }>('select version::int from push_certificates where topic = $1', [TOPIC])
    expect(row?.version).toBe(4)
  })

  it('refuses what is none, by 400 and a string', async () => {
    const { certificatePem, keyPem } = pair()
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const encrypted = privateKey.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()
    const foreign = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const bodies: [string, string][] = [
      ['', 'no PEM'],
      [certificatePem, 'no private key'],
      [keyPem, 'no certificate'],
      [certificatePem + foreign, 'does not match'],
      [certificatePem + encrypted, 'appears to be encrypted'],
      [certificatePem + keyPem + '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'unrecognized PEM type: "PUBLIC KEY"'],
      [server.ca + keyPem, 'does not match'],
    ]
    for (const [body, complaint] of bodies) {
      const answer = await call(server, 'PUT', '/v1/pushcert', body)
      expect(answer.status).toBe(400)
      expect(answer.json<{ error: string }>().error).toContain(complaint)
    }
  })

  it('takes keys of any kind of PEM, any content type, and the certificate that the key belongs to among others', async () => {
    const { certificatePem, keyPem } = pair()
    const pkcs1 = createPrivateKey(keyPem).export({ type: 'pkcs1', format: 'pem' }).toString()
    for (const body of [certificatePem + pkcs1, certificatePem + keyPem + server.ca]) {
      for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
        expect((await call(server, 'PUT', '/v1/pushcert', body, { 'content-type': type })).status).toBe(200)
      }
    }
  })

  it('refuses a certificate without a push topic, with another kind of topic, or that has ended', async () => {
    const issuer = certificateAuthority()
    const { certificate, key } = certify({ issuer, profile: 'client' })
    const past = await openAuthority(() => new Date(Date.now() - 730 * 86_400_000))
    const ended = past.issuePushCertificate(TOPIC)
    const foreign = server.apns.issuePushCertificate('com.example.app')
    const bodies: [string, string][] = [
      [encodePem('CERTIFICATE', certificate.der) + key.export({ type: 'pkcs8', format: 'pem' }).toString(), 'no push topic'],
      [foreign.certificatePem + foreign.keyPem, 'does not begin with com.apple.mgmt'],
      [ended.certificatePem + ended.keyPem, 'it ended on'],
      [encodePem('CERTIFICATE', Buffer.from('nothing')) + foreign.keyPem, ''],
    ]
    await still(server)
    const before = await dumpTables(server.db)
    for (const [body, complaint] of bodies) {
      const answer = await call(server, 'PUT', '/v1/pushcert', body)
      expect([complaint, answer.status, answer.json()]).toEqual([complaint, 400, { error: expect.stringContaining(complaint) }])
    }
    expect(await dumpTables(server.db)).toEqual(before)
  })

  it('refuses another topic while devices depend on theirs, and stores nothing', async () => {
    const { certificatePem, keyPem } = server.apns.issuePushCertificate('com.apple.mgmt.External.foreign')
    const answer = await call(server, 'PUT', '/v1/pushcert', certificatePem + keyPem)
    expect(answer.status).toBe(409)
    const { error, ...rest } = answer.json<{ error: string }>()
    expect(error).toMatch(/^\d+ of \d+ enrolled devices use .*keep_both\.$/)
    expect(rest).toEqual({})
    expect(await server.db.query('select topic from push_certificates')).toEqual([{ topic: TOPIC }])
  })

  it('refuses one that has ended or ends before the one that is held, and stores nothing', async () => {
    const before = await server.db.query('select * from push_certificates')
    for (const [days, complaint] of [[-0.5, 'it ended on'], [200, 'before the one that is held']] as const) {
      const { certificatePem, keyPem } = server.apns.issuePushCertificate(TOPIC, days)
      const answer = await call(server, 'PUT', '/v1/pushcert', certificatePem + keyPem)
      expect([answer.status, answer.json()]).toEqual([400, { error: expect.stringContaining(complaint) }])
    }
    expect(await server.db.query('select * from push_certificates')).toEqual(before)
  })

  it('warns of one that ends soon', async () => {
    await server.db.query(`update push_certificates set not_after = now() + interval '5 days' where topic = $1`, [TOPIC])
    const [soon, later] = [server.apns.issuePushCertificate(TOPIC, 12), pair()]
    const warned = await call(server, 'PUT', '/v1/pushcert', soon.certificatePem + soon.keyPem)
    expect([warned.status, warned.json()]).toEqual([200, { not_after: expect.any(String), topic: TOPIC, warnings: ['the certificate expires in 11 days'] }])
    expect((await call(server, 'PUT', '/v1/pushcert', later.certificatePem + later.keyPem)).json()).toEqual({ not_after: expect.any(String), topic: TOPIC })
  })

  it('tells when a topic’s certificate ends', async () => {
    const answer = await call(server, 'GET', `/v1/pushcert?topic=${TOPIC}`)
    expect(answer.status).toBe(200)
    expect(answer.json()).toEqual({ not_after: expect.stringMatching(/^\d{4}-.*\dZ$/), topic: TOPIC })
  })

  it('asks for the topic, and knows what it does not know', async () => {
    const missing = await call(server, 'GET', '/v1/pushcert')
    expect([missing.status, missing.json()]).toEqual([400, { error: 'missing required query parameter: topic' }])
    expect((await call(server, 'GET', '/v1/pushcert?topic=com.apple.mgmt.other')).status).toBe(404)
  })

  it.each(['POST', 'DELETE'])('does not take %s', async (method) => {
    const answer = await call(server, method, '/v1/pushcert')
    expect([answer.status, answer.headers['allow'], answer.headers['content-type']]).toEqual([405, 'GET, PUT', 'text/plain; charset=utf-8'])
  })
})
