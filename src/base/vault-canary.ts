import type { Deps } from './deps.ts'
import { VaultError } from './vault.ts'

const CANARY = 'vault_canary'
const PLACE = `settings.value:${CANARY}`
const FIND = { name: 'canary_find', text: 'select value from settings where key = $1' }
const INSERT = {
  name: 'canary_insert',
  text: 'insert into settings (key, value) values ($1, $2) on conflict (key) do nothing',
}

/**
 * Whether the master key of this process is the one that sealed this database: a known value is sealed into `settings`
 * at the first call and opened at each later one. A wrong key would otherwise be noticed by the first device that
 * needs it.
 */
export async function vaultFits(deps: Pick<Deps, 'db' | 'vault'>): Promise<boolean> {
  const sealed = (await find(deps)) ?? (await plant(deps))
  try {
    return deps.vault.open(Buffer.from(sealed, 'base64'), PLACE).toString() === CANARY
  } catch (error) {
    if (error instanceof VaultError) return false
    throw error
  }
}

async function find({ db }: Pick<Deps, 'db'>): Promise<string | undefined> {
  const [row] = await db.read.rows<{ value: string }>(FIND, [CANARY])
  return row?.value
}

/** Two processes may plant at once; both then read what the first one planted. */
async function plant(deps: Pick<Deps, 'db' | 'vault'>): Promise<string> {
  const sealed = deps.vault.seal(Buffer.from(CANARY), PLACE).toString('base64')
  await deps.db.read.rows(INSERT, [CANARY, JSON.stringify(sealed)])
  return (await find(deps)) ?? sealed
}
