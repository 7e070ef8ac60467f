/** What became of one id; a key that has nothing to say is absent. */
export interface IdResult {
  push_error?: string
  push_result?: string
  command_error?: string
}

/** The answer of push and enqueue, in upstream's order of keys. `status` is by enrollment id. */
export interface Result {
  status: Map<string, IdResult>
  noPush?: boolean
  pushError?: string | undefined
  commandError?: string
  commandUuid?: string
  requestType?: string
}

/** As upstream writes it: ids sorted, empty and false left out. */
export function shapeResult(result: Result): object {
  const ids = [...result.status].filter(([, one]) => Object.keys(one).length > 0).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return {
    ...(ids.length > 0 && { status: Object.fromEntries(ids) }),
    ...(result.noPush && { no_push: true }),
    ...(result.pushError !== undefined && { push_error: result.pushError }),
    ...(result.commandError !== undefined && { command_error: result.commandError }),
    ...(result.commandUuid !== undefined && { command_uuid: result.commandUuid }),
    ...(result.requestType !== undefined && { request_type: result.requestType }),
  }
}

/** 500 when the whole call or every id failed, 207 when some did, 200 when none did. */
export function statusOf({ pushError, commandError, status }: Result): 200 | 207 | 500 {
  if (pushError !== undefined || commandError !== undefined) return 500
  const failed = [...status.values()].filter((one) => one.push_error !== undefined || one.command_error !== undefined).length
  if (failed === 0) return 200
  return failed === status.size ? 500 : 207
}
