import { createPublicKey, generateKeyPair, randomBytes, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { expect } from 'vitest'
import type { Signer } from '../../src/apple/wire/cms-sign.ts'
import { createCsr } from '../../src/apple/wire/csr.ts'
import { pkcsReq, readCertRep, type CertRep } from '../../src/apple/wire/scep-client.ts'
import { issueCertificate, type CertificateRequest } from '../../src/apple/wire/x509-issue.ts'
import { distinguishedName, readCertificate, type Certificate } from '../../src/apple/wire/x509.ts'
import type { Deps } from '../../src/base/deps.ts'
import { newId, type AttemptId, type EnrollmentId } from '../../src/base/ids.ts'
import {
  answerScep,
  bindCertificate,
  loadAuthorities,
  mintChallenge,
  type Authorities,
  type ScepHooks,
} from '../../src/features/identity/index.ts'
import { testDeps, type TestDepsOptions } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

/** A process with authorities, the reasons it logged, and a SCEP client to talk to it. */
export interface House {
  database: FreshDatabase
  deps: Deps
  authorities: Authorities
  /** The `reason` of every log line so far. */
  reasons: string[]
  /** SHA-256 (hex) of the certificates that speak for their enrollment. */
  current: Set<string>
  /** Enrollments that have ended. */
  ended: Set<string>
  hooks: ScepHooks
  close(): Promise<void>
}

export async function openHouse(options: TestDepsOptions = {}): Promise<House> {
  const database = await freshDatabase()
  const reasons: string[] = []
  const log = pino(
    {},
    { write: (line: string) => reasons.push(String((JSON.parse(line) as { reason?: string }).reason)) },
  )
  const deps = testDeps(database.url, { log, ...options })
  const current = new Set<string>()
  const isCurrent = (_tx: unknown, _enrollment: EnrollmentId, sha256: Buffer) =>
    Promise.resolve(current.has(sha256.toString('hex')))
  const ended = new Set<string>()
  const stands = (_tx: unknown, enrollment: EnrollmentId) => Promise.resolve(!ended.has(enrollment))
  const close = async () => {
    await deps.db.close()
    await database.drop()
  }
  return { database, deps, authorities: await loadAuthorities(deps), reasons, current, ended, hooks: { isCurrent, stands }, close }
}

const TABLES = ['certificates', 'scep_challenges', 'scep_renewals', 'events', 'enrollment_links', 'enrollment_attempts']

/** Everything that is stored, apart from counted failures. */
export async function stored(database: FreshDatabase): Promise<string> {
  const parts = TABLES.map((table) => `(select coalesce(jsonb_agg(t order by t::text), '[]') from ${table} t)`)
  const [row] = await database.query<{ all: unknown }>(`select jsonb_build_array(${parts.join(', ')}) as all`)
  return JSON.stringify(row?.all)
}

let addresses = 0
/** A source address that no other test has used. */
export function freshAddress(): string {
  addresses++
  return `198.51.${addresses >> 8}.${addresses & 255}`
}

export async function makeKey(modulusLength = 2048, publicExponent = 65_537): Promise<KeyObject> {
  return (await promisify(generateKeyPair)('rsa', { modulusLength, publicExponent })).privateKey
}

export const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' })
export const nameOf = (commonName: string): Buffer => distinguishedName([['CN', commonName]])

/** A certificate as somebody might make it; a valid device identity when nothing is said. */
export function certify(key: KeyObject, o: Partial<CertificateRequest> = {}): Certificate {
  return readCertificate(
    issueCertificate({
      subject: nameOf('phone'),
      spki: spkiOf(key),
      serialNumber: randomBytes(16),
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      issuer: { selfSigned: key },
      profile: 'device',
      ...o,
    }),
  )
}

/** What a phone sends; a first request with a self-signed signer when nothing is said. */
export interface Asked {
  key: KeyObject
  challenge?: string
  csr?: Buffer
  signer?: Signer
  messageType?: string
  transactionId?: string
  address?: string
  cipher?: 'aes-128-cbc' | 'aes-256-cbc' | 'des-ede3-cbc'
}

export function write(house: Pick<House, 'authorities'>, o: Asked): { body: Buffer; signer: Signer } {
  const signer = o.signer ?? { certificate: certify(o.key), key: o.key }
  const csr =
    o.csr ??
    createCsr({
      subject: nameOf('phone'),
      key: o.key,
      ...(o.challenge !== undefined && { challengePassword: o.challenge }),
    })
  const body = pkcsReq({
    csr,
    signer,
    recipient: house.authorities.scepRa.certificate,
    transactionId: o.transactionId ?? randomBytes(8).toString('hex'),
    messageType: (o.messageType ?? '19') as '19',
    cipher: o.cipher ?? 'aes-128-cbc',
  })
  return { body, signer }
}

export async function send(house: House, message: Buffer, address = freshAddress()): Promise<Buffer> {
  const answer = await answerScep(
    house.deps,
    house.authorities,
    { operation: 'PKIOperation', message, remoteAddress: address },
    house.hooks,
  )
  return answer.body
}

/** Sends a request and reads the answer as the phone would. */
export async function ask(house: House, o: Asked): Promise<CertRep> {
  const { body, signer } = write(house, o)
  return readCertRep(await send(house, body, o.address), signer)
}

/** Expects a FAILURE with this failInfo, logged with this reason, and nothing stored. */
export async function expectRefused(house: House, o: Asked, reason: string, failInfo = '2'): Promise<void> {
  const before = await stored(house.database)
  const logged = house.reasons.length
  const answer = await ask(house, o)
  expect(answer).toMatchObject({ status: 'failure', failInfo })
  expect(answer.certificate).toBeUndefined()
  expect(house.reasons.slice(logged)).toEqual([reason])
  expect(await stored(house.database)).toBe(before)
}

export async function challengeFor(
  house: House,
  attemptId: AttemptId = newId('att'),
  deviceKey?: string,
): Promise<string> {
  return house.deps.work({ kind: 'system' }, (work) =>
    mintChallenge(work, house.deps.vault, { attemptId, ...(deviceKey && { deviceKey }) }),
  )
}

/** A phone with a certificate that is bound to an enrollment and current. */
export async function enrolledPhone(house: House, key: KeyObject, enrollment: string): Promise<Signer> {
  const { certificate } = await ask(house, { key, challenge: await challengeFor(house) })
  if (!certificate) throw new Error('no certificate was issued')
  await house.deps.work({ kind: 'system' }, (work) =>
    bindCertificate(work, certificate.sha256, enrollment as EnrollmentId),
  )
  house.current.add(certificate.sha256.toString('hex'))
  return { certificate, key }
}
