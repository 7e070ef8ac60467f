import { askEscrowUnlock, type EscrowUnlockAnswer } from '../../apple/cloud/escrow-unlock.ts'
import type { Principal } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { inWords } from '../../base/in-words.ts'
import { openKeyPair } from '../../features/push/index.ts'

export const ESCROW_LIMIT = 64 * 1024

const REQUIRED = ['serial', 'productType', 'escrowKey', 'orgName', 'guid']
const HARDWARE = ['serial', 'productType', 'imei', 'imei2', 'meid']
const FORM = ['orgName', 'guid', 'escrowKey']

/** Apple's own answer, or why it was not asked. */
export type Unlocked = EscrowUnlockAnswer | { status: 400 | 500; error: string }

/**
 * `POST /v1/escrowkeyunlock`: passes the request on to Apple, and Apple's answer back, as the holder of the topic's push
 * certificate. That it was asked for is recorded first; the key is kept nowhere, neither here nor in a log.
 */
export async function unlockByEscrowKey(deps: Deps, principal: Principal, body: Buffer): Promise<Unlocked> {
  const form = new URLSearchParams(body.toString())
  if (REQUIRED.some((name) => !form.get(name))) return { status: 400, error: 'invalid or missing parameters' }
  const topic = form.get('topic')
  if (!topic) return { status: 400, error: 'empty topic' }
  const keyPair = await openKeyPair(deps, topic)
  if (!keyPair) return { status: 500, error: 'no push certificate of this topic' }
  await deps.work({ kind: 'key', id: principal.id }, (work) => (
    work.emit({ type: 'activation_lock.unlock_requested', serial_number: form.get('serial') ?? '', topic })
  ))
  try {
    return await askEscrowUnlock({ ...deps.config.escrowUnlock, ...keyPair }, { hardware: only(form, HARDWARE), form: only(form, FORM) })
  } catch (error) {
    return { status: 500, error: `escrow key unlock: ${inWords(error)}` }
  }
}

function only(form: URLSearchParams, names: string[]): URLSearchParams {
  return new URLSearchParams(names.map((name): [string, string] => [name, form.get(name) ?? '']).filter(([, value]) => value !== ''))
}
