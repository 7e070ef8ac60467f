import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encryptTo } from '../../src/apple/wire/cms-envelope.ts'
import { signAttached } from '../../src/apple/wire/cms-sign.ts'
import { createCsr } from '../../src/apple/wire/csr.ts'
import { octetString, printableString } from '../../src/apple/wire/der-writer.ts'
import { WireError } from '../../src/apple/wire/error.ts'
import { OID } from '../../src/apple/wire/oids.ts'
import { readCertRep } from '../../src/apple/wire/scep-client.ts'
import { newId } from '../../src/base/ids.ts'
import { Problem } from '../../src/base/problem.ts'
import { voidChallenges } from '../../src/features/identity/index.ts'
import {
  ask,
  certify,
  challengeFor,
  expectRefused,
  freshAddress,
  makeKey,
  nameOf,
  openHouse,
  send,
  stored,
  write,
  type House,
} from './scep-device.ts'

let house: House
const [key, other] = await Promise.all([makeKey(), makeKey()])

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

describe('no certificate, and nothing stored', () => {
  it.each([undefined, '', 'null', 'undefined', 'wrong', '0'.repeat(43)])('for the challenge %s', async (challenge) => {
    await expectRefused(house, { key, ...(challenge !== undefined && { challenge }) }, 'challenge')
  })

  it('on a server that never made a challenge', async () => {
    const fresh = await openHouse()
    for (const challenge of [undefined, '', 'null']) {
      expect((await ask(fresh, { key, ...(challenge !== undefined && { challenge }) })).status).toBe('failure')
    }
    expect(await fresh.database.query('select sha256 from certificates')).toEqual([])
    await fresh.close()
  })

  it('for a challenge whose hour is over', async () => {
    const attempt = newId('att')
    const challenge = await challengeFor(house, attempt)
    const [row] = await house.database.query<{ minutes: number }>(
      `select round(extract(epoch from expires_at - now()) / 60)::int as minutes
       from scep_challenges where attempt_id = $1`,
      [attempt],
    )
    expect(row?.minutes).toBe(60)
    await house.database.query(`update scep_challenges set expires_at = now() where attempt_id = $1`, [attempt])
    await expectRefused(house, { key, challenge }, 'challenge_expired')
  })

  it('for a challenge whose attempt was ended', async () => {
    const attempt = newId('att')
    const challenge = await challengeFor(house, attempt)
    await house.deps.work({ kind: 'system' }, (work) => voidChallenges(work, [attempt]))
    await expectRefused(house, { key, challenge }, 'challenge_expired')
  })

  it('for another key than the one that signed', async () => {
    const csr = createCsr({ subject: nameOf('phone'), key: other, challengePassword: await challengeFor(house) })
    await expectRefused(house, { key, csr }, 'signer_key')
  })

  it.each(['18', '3', '20', '21', '22', '99'])('for message type %s', async (messageType) => {
    await expectRefused(house, { key, challenge: await challengeFor(house), messageType }, 'message_type')
  })

  it('without a message type', async () => {
    const csr = createCsr({ subject: nameOf('phone'), key, challengePassword: await challengeFor(house) })
    const signer = { certificate: certify(key), key }
    const body = signAttached(encryptTo(csr, house.authorities.scepRa.certificate, 'aes-128-cbc'), signer, {
      attributes: [
        [OID.transactionId, printableString('t')],
        [OID.senderNonce, octetString(randomBytes(16))],
      ],
    })
    const before = await stored(house.database)
    await expect(send(house, body)).rejects.toMatchObject({ name: 'WireError', reason: 'scep_shape' })
    expect(await stored(house.database)).toBe(before)
  })

  it('for a weak or broken key, although a strong one signed', async () => {
    const signer = { certificate: certify(key), key }
    const challenge = await challengeFor(house)
    const asked = (weak: KeyObject) => ({
      key,
      signer,
      csr: createCsr({ subject: nameOf('phone'), key: weak, challengePassword: challenge }),
    })
    await expectRefused(house, asked(await makeKey(1024)), 'weak_key', '0')
    await expectRefused(house, asked(await makeKey(2048, 3)), 'weak_key', '0')
    await expectRefused(
      house,
      asked(generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey),
      'weak_key',
      '0',
    )
    await expectRefused(
      house,
      asked(generateKeyPairSync('ec', { namedCurve: 'secp192k1' }).privateKey),
      'weak_key',
      '0',
    )
    const broken = createCsr({ subject: nameOf('phone'), key, challengePassword: challenge })
    broken.writeUInt8(broken.readUInt8(broken.length - 1) ^ 1, broken.length - 1)
    await expectRefused(house, { key, csr: broken }, 'envelope')
  })

  it('for an elliptic-curve key, which could not read the answer', async () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const { body, signer } = write(house, { key: ec, challenge: await challengeFor(house) })
    const before = await stored(house.database)
    expect(readCertRep(await send(house, body), signer)).toMatchObject({ status: 'failure', failInfo: '0' })
    expect(await stored(house.database)).toBe(before)
  })

  it('for an envelope that does not open, with one answer for every cause', async () => {
    const csr = createCsr({ subject: nameOf('phone'), key, challengePassword: await challengeFor(house) })
    const signer = { certificate: certify(key), key }
    const wrap = (envelope: Buffer) =>
      signAttached(envelope, signer, {
        attributes: [
          [OID.messageType, printableString('19')],
          [OID.transactionId, printableString('t')],
          [OID.senderNonce, octetString(Buffer.alloc(16, 1))],
        ],
      })
    const { certificate: ra } = house.authorities.scepRa
    const flipped = (at: (whole: Buffer) => number) => {
      const envelope = Buffer.from(encryptTo(csr, ra, 'aes-128-cbc'))
      envelope.writeUInt8(envelope.readUInt8(at(envelope)) ^ 1, at(envelope))
      return envelope
    }
    const envelopes = {
      'for another recipient': encryptTo(csr, house.authorities.profileSigner.certificate, 'aes-128-cbc'),
      'with a changed content key': flipped(() => 300),
      'with a changed last block': flipped((whole) => whole.length - 1),
      'around no request': encryptTo(Buffer.from('hello'), ra, 'aes-128-cbc'),
      'that is none': Buffer.from('hello'),
    }
    const before = await stored(house.database)
    const answers = await Promise.all(
      Object.values(envelopes).map(async (one) => readCertRep(await send(house, wrap(one)), signer)),
    )
    expect(answers.map(({ status, failInfo }) => `${status} ${failInfo}`)).toEqual(Array(5).fill('failure 2'))
    expect(await stored(house.database)).toBe(before)
  })

  it('for what is too large, nested beyond reason, or no message at all', async () => {
    await expect(send(house, Buffer.alloc(65_537))).rejects.toMatchObject({ code: 'too_large' })
    const nested = Buffer.from('2480'.repeat(10_000), 'hex')
    for (const garbage of [
      nested,
      randomBytes(2_000),
      Buffer.alloc(0),
      write(house, { key, challenge: 'x' }).body.subarray(0, -1),
    ]) {
      await expect(send(house, garbage)).rejects.toThrow(WireError)
    }
  })

  it('for a message that was changed on the way', async () => {
    const { body } = write(house, { key, challenge: await challengeFor(house) })
    body.writeUInt8(body.readUInt8(400) ^ 1, 400)
    const before = await stored(house.database)
    await expect(send(house, body)).rejects.toThrow(WireError)
    expect(await stored(house.database)).toBe(before)
  })
})

describe('an address that fails sixty times', () => {
  it('waits, before anything is decrypted for it; others do not', async () => {
    const address = freshAddress()
    for (let i = 0; i < 59; i++)
      await expect(send(house, Buffer.from('no message'), address)).rejects.toThrow(WireError)
    expect((await ask(house, { key, challenge: 'wrong', address })).status).toBe('failure')
    const challenge = await challengeFor(house)
    await expect(ask(house, { key, challenge, address })).rejects.toMatchObject({ code: 'rate_limited' })
    await expect(ask(house, { key, challenge, address })).rejects.toBeInstanceOf(Problem)
    expect((await ask(house, { key, challenge })).status).toBe('success')
  })

  it('is not one that succeeds', async () => {
    const address = freshAddress()
    const [before] = await house.database.query(`select count(*) from throttles where bucket = $1`, [`scep:${address}`])
    expect((await ask(house, { key, challenge: await challengeFor(house), address })).status).toBe('success')
    expect(await house.database.query(`select count(*) from throttles where bucket = $1`, [`scep:${address}`])).toEqual(
      [before],
    )
  })
})
