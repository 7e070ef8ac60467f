/**
 * Every expected failure, as one closed table: code, HTTP status, title, and a hint that helps. Anything thrown that is not
 * a Problem (or a WireError at a door) is a bug and is answered as `internal_error`. Documented in docs/problems.md; a
 * guard test keeps the two equal.
 */
export const PROBLEMS = {
  malformed_json: [400, 'The body is not valid JSON', 'Send one JSON object and Content-Type: application/json.'],
  malformed_request: [400, 'The request cannot be understood', 'Compare it with /api/v1/openapi.json.'],
  unknown_parameter: [400, 'An unknown query parameter was sent', 'Remove it or correct its spelling.'],
  bad_cursor: [400, 'This cursor does not belong to this list', 'Start again without a cursor.'],
  plain_http: [400, 'This address answers over HTTPS only', 'Use the address that begins with https:// .'],
  unauthenticated: [401, 'A valid API key is needed', 'Send Authorization: Bearer brm_live_… .'],
  key_expired: [401, 'This API key has expired', 'Ask an administrator for a new key.'],
  missing_scope: [403, 'This API key may not do that', 'Use a key that has the scope named in the detail.'],
  not_found: [404, 'Nothing is here', 'Check the id; list the collection to see what exists.'],
  method_not_allowed: [405, 'This method is not allowed here', 'See the Allow header.'],
  already_set_up: [409, 'This server is set up already', 'Use an API key, or run `bramley setup` on the server.'],
  setup_token_invalid: [403, 'The setup token is wrong or too old', 'Restart the server to get a new one.'],
  ambiguous_device: [409, 'More than one device matches', 'Use the id of one of the candidates.'],
  already_delivered: [409, 'The device has fetched this command already', 'Wait for its answer.'],
  command_ended: [409, 'This command has ended already', 'Queue a new one.'],
  command_uuid_taken: [409, 'This CommandUUID was used before', 'Choose a new CommandUUID or leave it out.'],
  last_admin_key: [409, 'This is the last API key with the scope admin', 'Make another one first.'],
  name_taken: [409, 'This slug is taken', 'Choose another slug.'],
  not_importable: [409, 'This message cannot be imported', 'See the detail; nothing was changed.'],
  not_pending: [409, 'This enrollment waits for no decision', 'Read it again.'],
  push_certificate_in_use: [409, 'This push certificate is still needed', 'Keep it: several can be held side by side.'],
  push_topic_mismatch: [409, 'This certificate is for a different push topic',
    'At identity.apple.com press Renew on the existing row, with the same Apple Account.'],
  request_in_progress: [409, 'A request with this Idempotency-Key is still running', 'Try again in a moment.'],
  simulator_off: [409, 'The simulator is off', 'Start the server without a push certificate, or with BRAMLEY_SIMULATOR=1.'],
  device_unenrolled: [410, 'This device is not enrolled', 'Enroll it again first.'],
  too_large: [413, 'The body is too large', 'Send less in one request.'],
  unsupported_content: [415, 'This content type is not supported here', 'See /api/v1/openapi.json for what is.'],
  validation_failed: [422, 'A value was refused', 'See errors for the fields.'],
  not_supported_by_device: [422, 'This device cannot do that', 'See the detail; "force": true overrides, and is recorded.'],
  idempotency_key_reused: [422, 'This Idempotency-Key was used for another request', 'Choose a new key for a new request.'],
  push_certificate_refused: [422, 'This push certificate cannot be used', 'See errors for each check.'],
  rate_limited: [429, 'Too many tries', 'Wait, then try again.'],
  internal_error: [500, 'The server made a mistake', 'Look in the server log for the request id.'],
  database_unavailable: [503, 'The database is away', 'Try again in a moment.'],
  starting: [503, 'The server is starting or stopping', 'Try again in a moment.'],
  push_unavailable: [503, 'No usable push certificate is held', 'Upload one with POST /api/v1/push-certificates.'],
  checkin_unavailable: [503, 'No check-in address is configured', 'Set BRAMLEY_CHECKIN_URL on the processes that deliver profiles.'],
  link_gone: [404, 'This enrollment link cannot be used', 'Ask whoever gave it to you for a new one.'],
} as const satisfies Record<string, readonly [status: number, title: string, hint: string]>

export type ProblemCode = keyof typeof PROBLEMS

/** One finding about one place of the input; `pointer` is a JSON Pointer (RFC 6901). */
export interface Finding {
  pointer: string
  code: string
  detail: string
}

interface ProblemOptions {
  cause?: unknown
  errors?: Finding[]
  /** Further members of the problem document, for instance `requires` or `candidates`. */
  extra?: Record<string, unknown>
  retryAfterSeconds?: number
}

/** An expected refusal. `detail` is for the caller and must hold no secret; `cause` is for our log. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly detail: string | undefined
  readonly options: ProblemOptions

  constructor(code: ProblemCode, detail?: string, options: ProblemOptions = {}) {
    super(detail ?? PROBLEMS[code][1], options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Problem'
    this.code = code
    this.detail = detail
    this.options = options
  }

  get status(): number {
    return PROBLEMS[this.code][0]
  }
}
