/**
 * A device is refused: 400 with an empty body, nothing stored. `reason` is a short word for the log
 * (`device_auth_refused{reason}`); the device learns nothing.
 */
export class DeviceRefused extends Error {
  override name = 'DeviceRefused'
  readonly reason: string

  constructor(reason: string, detail?: string) {
    super(detail ?? reason)
    this.reason = reason
  }
}
