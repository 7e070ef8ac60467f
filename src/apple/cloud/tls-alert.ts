/** The alerts by which a TLS server refuses the client's certificate (RFC 8446, 6.2; the same in RFC 5246, 7.2.2). */
const CERTIFICATE_ALERTS = new Map([
  [42, 'bad_certificate'],
  [43, 'unsupported_certificate'],
  [44, 'certificate_revoked'],
  [45, 'certificate_expired'],
  [46, 'certificate_unknown'],
  [48, 'unknown_ca'],
])

/** The name of the alert behind a connection's error when the peer refused our certificate by it; undefined for any other error. */
export function certificateAlert(error: Error): string | undefined {
  // OpenSSL's words and codes for alerts change with its versions; the number at the end of its text does not.
  const [, number] = /SSL alert number (\d+)/.exec(error.message) ?? []
  return number === undefined ? undefined : CERTIFICATE_ALERTS.get(Number(number))
}
