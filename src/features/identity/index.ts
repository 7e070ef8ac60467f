/**
 * Who is that device? The device CA with its SCEP door, the one-time challenges that open it, and a record of every
 * certificate it issued, or an extra CA did for a device that enrolled: whose it is, and whether it is still alive. Owns the tables `authorities`, `certificates`,
 * `scep_challenges` and `scep_renewals`. Any number of processes may run it: they agree on one CA, and the database
 * decides who uses a challenge. SCEP is RFC 8894; Apple's payload:
 * https://developer.apple.com/documentation/devicemanagement/scep
 */
export { loadAuthorities, signProfile, type Authorities, type Authority } from './authorities.ts'
export { bindCertificate, findCertificate, revokeAllOf, revokeCertificate } from './certificates.ts'
export { mintChallenge, mintRenewalChallenge, voidChallenges, type RenewalChallenge } from './challenges.ts'
export { checkIdentity, IdentityRefused, type Identity, type IdentityReason } from './check-identity.ts'
export { nameInWords, recordExtraCertificate } from './extra-cas.ts'
export { answerScep, type ScepAnswer, type ScepHooks, type ScepRequest } from './scep.ts'
export type { CertificateRecord } from './store.ts'
export { authorities, certificates, scepChallenges, scepRenewals } from './tables.ts'
