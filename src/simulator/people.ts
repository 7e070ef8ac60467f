import { createHash } from 'node:crypto'
import type { SimulatedDevice } from './device.ts'
import { SHARED_IPAD_USER, type DeviceUser } from './device-memory.ts'
import type { DeviceState } from './device-state.ts'
import type { Hardware } from './hardware.ts'

const NAMES: [given: string, family: string][] = [['Kim', 'Berger'], ['Noor', 'Haddad'], ['Robin', 'Weiss']]

/**
 * Who uses a device: of a Mac one local user, of a Shared iPad several with Managed Apple Accounts, of others nobody whom
 * management would know.
 */
export function peopleOf({ model, serialNumber }: Hardware, { sharedIpad }: Pick<DeviceState, 'sharedIpad'>): DeviceUser[] {
  if (sharedIpad) return NAMES.map(([given, family]) => managedAccount(given, family))
  if (model.platform !== 'mac') return []
  const seed = createHash('sha256').update(`user of ${serialNumber}`).digest()
  const [given, family] = NAMES[(seed[31] ?? 0) % NAMES.length] as [string, string]
  return [{ id: guid(seed), shortName: given.toLowerCase(), longName: `${given} ${family}` }]
}

/** A user of a Shared iPad, under the account of an organisation. */
export function managedAccount(given: string, family: string): DeviceUser {
  const shortName = `${given}.${family}@appleid.example.edu`.toLowerCase()
  return { id: SHARED_IPAD_USER, shortName, longName: `${given} ${family}` }
}

/** A Shared iPad changes hands: whoever has it logs out, and the next one whom it knows logs in. */
export async function handOver(device: SimulatedDevice): Promise<void> {
  const known = device.users.map((session) => session.user)
  const next = known[(known.findIndex(({ loggedIn }) => loggedIn) + 1) % known.length]
  if (next && device.phase === 'enrolled' && device.isReachable) await device.logIn(next.user)
}

function guid(seed: Buffer): string {
  const hex = seed.toString('hex', 0, 16).toUpperCase()
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20)].join('-')
}
