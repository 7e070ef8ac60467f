/** Where an enrollment ended. */
export type EnrollmentStep =
  | 'profile' | 'scep' | 'authenticate' | 'token_update' | 'user_authenticate' | 'user_token_update' | 'bootstrap_token'

const STEPS: Record<EnrollmentStep, string> = {
  profile: 'the enrollment link',
  scep: 'the request for an identity (SCEP)',
  authenticate: 'the check-in (Authenticate)',
  token_update: 'the check-in (TokenUpdate)',
  user_authenticate: 'the question about a user (UserAuthenticate)',
  user_token_update: 'the check-in of a user (TokenUpdate)',
  bootstrap_token: 'the bootstrap token',
}

/** The server does not let this device in. The message is for people; `status` is the HTTP status, if that was it. */
export class EnrollmentRefused extends Error {
  override readonly name = 'EnrollmentRefused'
  readonly step: EnrollmentStep
  readonly status: number | undefined

  constructor(step: EnrollmentStep, status: number | undefined, why?: string) {
    const withStatus = status === undefined ? '' : ` with status ${status}`
    super(`the server refused ${STEPS[step]}${withStatus}${why === undefined ? '' : `: ${why}`}`)
    this.step = step
    this.status = status
  }
}
