/**
 * Bytes from outside that this server does not accept. `reason` is one short snake_case word for logs and metrics
 * ('doctype', 'depth', 'type', 'asn1', 'bad_signature', …); the message adds where and what was expected, and never
 * repeats the input.
 */
export class WireError extends Error {
  override readonly name = 'WireError'
  readonly reason: string

  constructor(reason: string, detail?: string) {
    super(detail === undefined ? reason : `${reason}: ${detail}`)
    this.reason = reason
  }
}
