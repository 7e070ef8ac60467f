/** RFC 8894 3.2.1.4.5: badAlg, badRequest. */
export type FailInfo = 0 | 2

/**
 * A request that gets no certificate. The client learns only `failInfo`, the same for every fault of challenge, signer
 * and form; `reason` is for our log.
 */
export class ScepRefused extends Error {
  override readonly name = 'ScepRefused'
  readonly reason: string
  readonly failInfo: FailInfo

  constructor(reason: string, failInfo: FailInfo = 2) {
    super(reason)
    this.reason = reason
    this.failInfo = failInfo
  }
}
