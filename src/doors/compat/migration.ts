import { parseCheckin, type CheckinMessage } from '../../apple/wire/checkin.ts'
import { WireError } from '../../apple/wire/error.ts'
import type { Principal } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { importCheckin, type KnownTopic } from '../../features/enrollments/index.ts'
import { holdsAnyTopic, isKnownTopic } from '../../features/push/index.ts'

/** 200 without a body: what tools take for success. */
export type Imported = { status: 200 } | { status: 400 | 409; error: string }

/** `/migration`: one raw check-in message of a device that another server managed. */
export async function importMessage(deps: Deps, principal: Principal, body: Buffer): Promise<Imported> {
  const message = readMessage(body)
  if (typeof message === 'string') return { status: 400, error: message }
  try {
    await deps.work({ kind: 'key', id: principal.id }, (work) => importCheckin(deps, work, message, knownTopic))
    return { status: 200 }
  } catch (error) {
    if (error instanceof Problem && error.code === 'not_importable') return { status: 409, error: error.message }
    throw error
  }
}

function readMessage(body: Buffer): CheckinMessage | string {
  try {
    return parseCheckin(body)
  } catch (error) {
    if (error instanceof WireError) return `not a check-in message: ${error.message}`
    throw error
  }
}

/** As for the devices themselves: any topic while we hold none. */
const knownTopic: KnownTopic = async (work, topic) => (await isKnownTopic(work, topic)) || !(await holdsAnyTopic(work))
