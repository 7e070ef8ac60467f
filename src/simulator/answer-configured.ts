import { acknowledged, failed, type Answer, type AnswerFunction } from './answer.ts'
import { errorItem } from './error-chain.ts'

/** Lets a device out of Setup Assistant that waited there for its server (Apple: Device Configured). */
export const deviceConfigured: AnswerFunction = ({ state }) => configured(state)

/** Lets a new user of a Shared iPad go on with the login (Apple: User Configured). */
export const userConfigured: AnswerFunction = (_phone, _command, _now, user) => configured(user ?? {})

function configured(waiting: { awaitingConfiguration?: boolean }): Answer {
  if (!waiting.awaitingConfiguration) return failed(errorItem('MCMDMErrorDomain', 12081, 'Nothing awaits configuration.'))
  waiting.awaitingConfiguration = false
  return acknowledged()
}
