import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodePem } from '../../../src/apple/wire/pem.ts'
import type { SubjectAltName } from '../../../src/apple/wire/subject-alt-names.ts'
import { type CertificateProfile, issueCertificate } from '../../../src/apple/wire/x509-issue.ts'
import { type Certificate, distinguishedName, readCertificate } from '../../../src/apple/wire/x509.ts'

export interface Identity {
  certificate: Certificate
  key: KeyObject
}

export const notBefore = new Date('2020-01-01T00:00:00Z')
export const notAfter = new Date('2045-01-01T00:00:00Z')

export const rsaKey = (modulusLength = 2048): KeyObject => generateKeyPairSync('rsa', { modulusLength }).privateKey
export const ecKey = (namedCurve = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey
export const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' })

export interface Wish {
  key?: KeyObject
  issuer?: Identity
  profile?: CertificateProfile
  serialNumber?: Buffer
  parts?: [string, string][]
  subjectAltNames?: SubjectAltName[]
}

/** A certificate with its key: issued by `issuer`, or self-signed. */
export function identity(name: string, wish: Wish = {}): Identity {
  const { key = rsaKey(), issuer, profile = 'device', serialNumber, parts, subjectAltNames } = wish
  const certificate = readCertificate(
    issueCertificate({
      subject: distinguishedName(
        parts ?? [
          ['O', 'Bramley test'],
          ['CN', name],
        ],
      ),
      spki: spkiOf(key),
      serialNumber: serialNumber ?? randomBytes(16),
      notBefore,
      notAfter,
      issuer: issuer ?? { selfSigned: key },
      profile,
      ...(subjectAltNames && { subjectAltNames }),
    }),
  )
  return { certificate, key }
}

/** Runs openssl in a folder of its own, which holds these files and disappears afterwards. */
export function withOpenssl<T>(files: Record<string, string | Uint8Array>, act: (openssl: Openssl) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'bramley-openssl-'))
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    return act((...args) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
export type Openssl = (...args: string[]) => Buffer

export const certificatePem = (certificate: Certificate): string => encodePem('CERTIFICATE', certificate.der)
export const keyPem = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString()
