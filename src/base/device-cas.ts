import { WireError } from '../apple/wire/error.ts'
import { decodePem } from '../apple/wire/pem.ts'
import { publicKeyProblem, readCertificate, type Certificate } from '../apple/wire/x509.ts'

/**
 * The CAs in a PEM file of BRAMLEY_EXTRA_DEVICE_CAS. Throws Error with what is wrong, for people: no PEM, something else than a
 * certificate, no CA, or a key that nobody should trust.
 */
export function readDeviceCas(pem: string): Certificate[] {
  try {
    return decodePem(pem).map((block, index) => readCa(block, `certificate ${index + 1}`))
  } catch (error) {
    throw error instanceof WireError ? new Error('holds no readable PEM certificates', { cause: error }) : error
  }
}

function readCa({ label, der }: { label: string; der: Buffer }, name: string): Certificate {
  if (label !== 'CERTIFICATE') throw new Error(`holds a ${label}, and only certificates belong there`)
  const certificate = readCertificate(der)
  if (!certificate.isCa) throw new Error(`${name} is no CA`)
  const problem = publicKeyProblem(certificate.publicKey)
  if (problem) throw new Error(`${name} has a key that is not trusted: ${problem}`)
  return certificate
}
