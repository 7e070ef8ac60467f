import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { signAttached } from '../../apple/wire/cms-sign.ts'
import { encodePem } from '../../apple/wire/pem.ts'
import { issueCertificate } from '../../apple/wire/x509-issue.ts'
import { distinguishedName, readCertificate, type Certificate } from '../../apple/wire/x509.ts'
import type { Deps } from '../../base/deps.ts'
import type { Vault } from '../../base/vault.ts'
import * as store from './store.ts'
import type { AuthorityRole } from './store.ts'

/** One of our own certificates with its private key. */
export interface Authority {
  certificate: Certificate
  key: KeyObject
  /** The certificate as PEM. */
  pem: string
}

/**
 * `deviceCa` issues device identities; `scepRa` reads SCEP requests and signs the answers, so that the CA's own key
 * never decrypts what strangers send; `profileSigner` signs enrollment profiles. The last two are issued by the first.
 */
export interface Authorities {
  deviceCa: Authority
  scepRa: Authority
  profileSigner: Authority
  /** CAs of other servers whose device certificates are accepted too (BRAMLEY_EXTRA_DEVICE_CAS); we hold no key of theirs. */
  extraDeviceCas: readonly Certificate[]
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
const CA_LIFETIME = 3_650 * DAY

/**
 * The authorities of this installation, made when there are none yet. Processes that start at once agree on one set,
 * and the rows never change, so the answer may be kept for the life of the process. Throws VaultError when the master
 * key is not the one they were sealed with.
 */
export async function loadAuthorities(deps: Deps): Promise<Authorities> {
  const stored = await store.readAuthorities(deps.db.read)
  if (stored.length > 0) return open(deps, stored)
  // Three RSA keys take seconds; made before the transaction, so that nobody waits for a lock meanwhile.
  const made = await makeAuthorities(deps)
  const agreed = await deps.work({ kind: 'system' }, async (work) => {
    await store.lockAuthorities(work.tx)
    const others = await store.readAuthorities(work.tx)
    if (others.length > 0) return others
    for (const row of made) await store.insertAuthority(work.tx, row, work.now)
    return made
  })
  return open(deps, agreed)
}

/** The profile as a signed document (DER), with the CA certificate beside the signer's. */
export function signProfile(authorities: Authorities, xml: Uint8Array): Buffer {
  const { certificate, key } = authorities.profileSigner
  return signAttached(xml, { certificate, key }, { chain: [authorities.deviceCa.certificate] })
}

async function makeAuthorities(deps: Deps): Promise<store.AuthorityRow[]> {
  const [caKey, raKey, signerKey] = await Promise.all([makeKey(3072), makeKey(2048), makeKey(2048)])
  const organization = subjectText(deps.config.organization)
  // Two installations of one organization must not look alike in a list of certificates.
  const tag = randomBytes(3).toString('hex').toUpperCase()
  const named = (role: string) => distinguishedName([['O', organization], ['CN', `Bramley ${role} ${tag}`]])
  const notBefore = new Date(deps.clock().getTime() - HOUR)
  const until = (lifetime: number) => ({ notBefore, notAfter: new Date(notBefore.getTime() + lifetime) })
  const ca = readCertificate(issueCertificate({
    subject: named('Device CA'), spki: spkiOf(caKey), serialNumber: randomBytes(16), ...until(CA_LIFETIME),
    issuer: { selfSigned: caKey }, profile: 'ca',
  }))
  const below = (name: string, key: KeyObject, profile: 'ra' | 'profile_signer') => readCertificate(issueCertificate({
    subject: named(name), spki: spkiOf(key), serialNumber: randomBytes(16), ...until(CA_LIFETIME - DAY),
    issuer: { certificate: ca, key: caKey }, profile,
  }))
  return [
    sealed(deps.vault, 'device_ca', ca, caKey),
    sealed(deps.vault, 'scep_ra', below('SCEP RA', raKey, 'ra'), raKey),
    sealed(deps.vault, 'profile_signer', below('Profile Signer', signerKey, 'profile_signer'), signerKey),
  ]
}

/** X.520 allows 64 characters in a name part; strict readers refuse more. */
export function subjectText(text: string): string {
  return Array.from(text).slice(0, 64).join('')
}

async function makeKey(modulusLength: number): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength })
  return privateKey
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

function sealed(vault: Vault, role: AuthorityRole, certificate: Certificate, key: KeyObject): store.AuthorityRow {
  const sealedKey = vault.seal(key.export({ type: 'pkcs8', format: 'der' }), placeOf(role))
  return { role, certificate: certificate.der, sealedKey }
}

function open({ vault, config }: Deps, rows: store.AuthorityRow[]): Authorities {
  const find = (role: AuthorityRole) => {
    const row = rows.find((one) => one.role === role)
    if (!row) throw new Error(`the table authorities has no ${role}: restore it from a backup`)
    return openOne(vault, row)
  }
  const own = { deviceCa: find('device_ca'), scepRa: find('scep_ra'), profileSigner: find('profile_signer') }
  return { ...own, extraDeviceCas: config.extraDeviceCas }
}

function openOne(vault: Vault, row: store.AuthorityRow): Authority {
  const key = createPrivateKey({ key: vault.open(row.sealedKey, placeOf(row.role)), format: 'der', type: 'pkcs8' })
  const certificate = readCertificate(row.certificate)
  return { certificate, key, pem: encodePem('CERTIFICATE', certificate.der) }
}

function placeOf(role: AuthorityRole): string {
  return `authorities.sealed_key:${role}`
}
