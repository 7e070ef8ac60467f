import type { CheckinMessage } from '../../apple/wire/checkin.ts'
import type { ChannelAddress } from '../../apple/wire/channel.ts'
import type { ReportStatus } from '../../apple/wire/report.ts'

/** A request of a device as it came. */
export interface Said {
  /** The very bytes of its body. */
  raw: Buffer
  /** The first value of each query parameter. */
  urlParams: Record<string, string>
}

/** What a device said, and on which channel: a check-in message, or a report on the command channel. */
export type Message = { channel: ChannelAddress } & (
  | { kind: 'checkin'; messageType: CheckinMessage['MessageType']; tokenUpdateTally?: number | undefined }
  | { kind: 'report'; status: ReportStatus; commandUuid?: string | undefined }
)

/**
 * The event of one message as JSON: MicroMDM's keys, and those that NanoMDM adds (`ids`, `token_update_tally`). What has nothing
 * to say is absent (nanomdm, docs/webhook-event.json).
 */
export function shapeEvent(id: string, message: Message, said: Said, at: Date): string {
  const { channel } = message
  const common = {
    ...(channel.deviceKeyKind === 'enrollment_id' && { enrollment_id: channel.deviceKey }),
    ids: idsOf(channel),
    raw_payload: said.raw.toString('base64'),
  }
  const end = {
    ...(channel.deviceKeyKind === 'udid' && { udid: channel.deviceKey }),
    ...(Object.keys(said.urlParams).length > 0 && { url_params: said.urlParams }),
  }
  const written = { created_at: at.toISOString(), event_id: id }
  if (message.kind === 'report') {
    const uuid = message.commandUuid !== undefined && { command_uuid: message.commandUuid }
    return JSON.stringify({ acknowledge_event: { ...uuid, ...common, status: message.status, ...end }, ...written, topic: 'mdm.Connect' })
  }
  const isToken = message.messageType === 'TokenUpdate' && message.tokenUpdateTally !== undefined
  const tally = isToken && { token_update_tally: message.tokenUpdateTally }
  return JSON.stringify({ checkin_event: { ...common, ...tally, ...end }, ...written, topic: `mdm.${message.messageType}` })
}

/** How NanoMDM names a channel: as in the paths of its API. */
function idsOf({ deviceKey, deviceKeyKind, channel, userKey, isShared }: ChannelAddress): { id: string; parent_id?: string; type: string } {
  if (channel === 'device') return { id: deviceKey, type: deviceKeyKind === 'udid' ? 'Device' : 'User Enrollment (Device)' }
  const user = isShared ? 'Shared iPad' : 'User'
  return { id: `${deviceKey}:${userKey}`, parent_id: deviceKey, type: deviceKeyKind === 'udid' ? user : 'User Enrollment' }
}
