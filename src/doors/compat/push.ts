import type { Deps } from '../../base/deps.ts'
import type { EnrollmentId } from '../../base/ids.ts'
import { findNamed, type NamedChannel } from '../../features/enrollments/index.ts'
import { pushNow, type Clients, type PushAnswer } from '../../features/push/index.ts'
import type { IdResult, Result } from './result.ts'

/** `/v1/push/{ids}`: one push for each id, with Apple's answers. */
export async function push(deps: Deps, clients: Clients, ids: string[]): Promise<Result> {
  if (ids.length === 0) return { status: new Map(), pushError: 'getting enrollment ids: empty path' }
  const result: Result = { status: new Map(ids.map((id) => [id, {}])) }
  await pushInto(deps, clients, result, await findNamed(deps.db.read, [...result.status.keys()]))
  return result
}

/** Pushes to these channels and writes into `result` what became of it; ids behind which there is no channel fail too. */
export async function pushInto(deps: Deps, clients: Clients, result: Result, channels: NamedChannel[]): Promise<void> {
  const byName = new Map(channels.map((channel) => [channel.name, channel]))
  const answers = await pushNow(deps, clients, channels.map((channel) => channel.id))
  for (const [id, one] of result.status) {
    if (one.command_error === undefined) Object.assign(one, outcomeFor(byName.get(id), answers))
  }
  // Upstream treats this as a failure of the call, whatever became of the other topics.
  const bereft = channels.find((channel) => !answers.has(channel.id) && canBePushed(channel))
  if (bereft) result.pushError = `no usable push certificate for topic ${bereft.topic}`
}

function outcomeFor(channel: NamedChannel | undefined, answers: Map<EnrollmentId, PushAnswer>): IdResult {
  const answer = channel && answers.get(channel.id)
  if (answer?.outcome === 'accepted') return { push_result: answer.apnsId.toUpperCase() }
  if (answer) return { push_error: inWords(answer) }
  // One that has not sent its TokenUpdate yet is no more than unknown.
  if (!channel || channel.state === 'identity_issued') return { push_error: 'push data missing for id' }
  if (channel.state !== 'enrolled') return { push_error: 'enrollment is not active' }
  if (!channel.has_token) return { push_error: 'push data missing for id' }
  return channel.push_stopped === null ? {} : { push_error: `pushing has stopped until the next TokenUpdate: ${channel.push_stopped}` }
}

function canBePushed(channel: NamedChannel): boolean {
  return channel.state === 'enrolled' && channel.has_token && channel.push_stopped === null
}

/** Upstream's words, which scripts look for. */
function inWords(answer: Exclude<PushAnswer, { outcome: 'accepted' }>): string {
  if (answer.outcome === 'unreachable') return `push failed: ${answer.detail}`
  const since = answer.timestamp === undefined ? '' : `: timestamp ${answer.timestamp.getTime()}`
  return `push HTTP status: ${answer.status}: APNs push error: ${answer.reason ?? 'unknown'}${since}`
}
