/** 400 in general; 404 for a declaration that is not in the set; 410 for a user who is not managed; 503 to come again. */
export type RefusalStatus = 400 | 404 | 410 | 503

/**
 * A device is refused: a bare status with an empty body, nothing stored. `reason` is a short word for the log
 * (`device_auth_refused{reason}`); the device learns nothing.
 */
export class DeviceRefused extends Error {
  override name = 'DeviceRefused'
  readonly reason: string
  readonly status: RefusalStatus

  constructor(reason: string, status: RefusalStatus = 400) {
    super(reason)
    this.reason = reason
    this.status = status
  }
}
