import { acknowledged, stringsOf, type AnswerFunction } from './answer.ts'
import { tells } from './capabilities.ts'
import { CELLULAR_QUERIES } from './queries-cellular.ts'
import { DEVICE_QUERIES } from './queries-device.ts'
import { PLATFORM_QUERIES } from './queries-platform.ts'
import type { Query } from './query.ts'

const QUERIES: Readonly<Record<string, Query>> = { ...DEVICE_QUERIES, ...PLATFORM_QUERIES, ...CELLULAR_QUERIES }

/**
 * Answers what was asked, or everything without `Queries`. What the platform does not have, the channel or the rights do
 * not cover, or the device does not know, is left out without a word (protocol: DeviceInformation).
 */
export const deviceInformation: AnswerFunction = (phone, command, _now, user) => {
  const asked = stringsOf(command['Queries']) ?? Object.keys(QUERIES)
  const answers = asked.flatMap((name) => {
    const query = Object.hasOwn(QUERIES, name) ? QUERIES[name] : undefined
    return query && tells(phone, name, user) ? [[name, query(phone, user)] as const] : []
  })
  return acknowledged({ QueryResponses: Object.fromEntries(answers) })
}
