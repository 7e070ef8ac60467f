import { createHash } from 'node:crypto'
import { WireError } from './error.ts'
import { parseStatusReport, type StatusReport } from './status-report.ts'

const KINDS = ['activation', 'asset', 'configuration', 'management'] as const

/** What a device wants by declarative management (Apple: DeclarativeManagement, Endpoint). */
export type DeclarativeRequest =
  | { endpoint: 'tokens' }
  | { endpoint: 'declaration-items' }
  | { endpoint: 'declaration'; kind: (typeof KINDS)[number]; identifier: string }
  | { endpoint: 'status'; report: StatusReport }

/** One declaration as the device first hears of it. */
export interface DeclarationItem {
  Identifier: string
  ServerToken: string
}

/** The declarations of one channel, by Apple's names for their kinds. */
export interface DeclarationSet {
  Activations: readonly DeclarationItem[]
  Assets: readonly DeclarationItem[]
  Configurations: readonly DeclarationItem[]
  Management: readonly DeclarationItem[]
}

/** The set of a channel that nobody has given anything. */
export const EMPTY_SET: DeclarationSet = { Activations: [], Assets: [], Configurations: [], Management: [] }

/**
 * Reads Endpoint and Data. An Identifier may hold slashes, but no step that walks up or stays. Throws WireError 'endpoint'
 * for one Apple does not define, 'type' for a status without Data, and whatever `parseStatusReport` throws.
 */
export function readDeclarativeRequest(endpoint: string, data: Uint8Array | undefined): DeclarativeRequest {
  if (endpoint === 'tokens' || endpoint === 'declaration-items') return { endpoint }
  if (endpoint === 'status') {
    if (data === undefined) throw new WireError('type', 'Data')
    return { endpoint, report: parseStatusReport(data) }
  }
  const [word, name, ...steps] = endpoint.split('/')
  const kind = KINDS.find((known) => known === name)
  const walks = steps.length === 0 || steps.some((step) => step === '' || step === '.' || step === '..')
  if (word !== 'declaration' || kind === undefined || walks) throw new WireError('endpoint', 'unknown Endpoint')
  return { endpoint: 'declaration', kind, identifier: steps.join('/') }
}

/** The answer to `tokens`: which set is in force, and since when. */
export function encodeTokens(set: DeclarationSet, since: Date): Buffer {
  const timestamp = `${since.toISOString().slice(0, 19)}Z`
  return json({ SyncTokens: { Timestamp: timestamp, DeclarationsToken: declarationsToken(set) } })
}

/** The answer to `declaration-items`: the set itself, under the very token that `tokens` told. */
export function encodeItems(set: DeclarationSet): Buffer {
  return json({ Declarations: set, DeclarationsToken: declarationsToken(set) })
}

/** Another token for another set, and the same for the same, in whatever order it comes: 64 hexadecimal digits. */
function declarationsToken(set: DeclarationSet): string {
  const items = Object.values(set).flat().map(({ Identifier, ServerToken }: DeclarationItem) => JSON.stringify([Identifier, ServerToken]))
  return createHash('sha256').update(items.toSorted((a, b) => (a < b ? -1 : 1)).join('\n')).digest('hex')
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}
