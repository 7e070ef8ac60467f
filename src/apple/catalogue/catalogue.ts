import data from './commands.json' with { type: 'json' }

/** What one platform demands before it carries a command out or heeds a key. What is absent is not demanded. */
export interface Limits {
  /** First OS version that has it. */
  introduced?: string
  /** First OS version that no longer has it. */
  removed?: string
  /** Name in `rights`. */
  right?: string
  /** When this is what the command acts on, the right is not asked for. */
  rightWaivedFor?: string
  supervised?: boolean
  /** Only on devices that came through Automated Device Enrollment. */
  automatedEnrollment?: boolean
  /** 'device', 'user'. On iOS the user channel exists only on a Shared iPad. */
  channels?: string[]
  /** 'allowed', 'required', 'forbidden', 'ignored', or 'userChannel': on a Shared iPad only there. */
  sharedIpad?: string
  /** 'allowed' or 'forbidden'. */
  userEnrollment?: string
}

/** Where a key, item or query exists. Platforms are Apple's names; one that neither list names adds no limit. */
export interface Placed {
  notOn?: string[]
  on?: Record<string, Limits>
}

/** A key or array element. A dictionary without `keys` and without `variants` may hold anything. */
export interface KeySchema extends Placed {
  type: string
  required?: boolean
  /** The only values there are. */
  enum?: (string | number)[]
  /** Values Apple lists without saying that there are no others. */
  values?: (string | number)[]
  /** Smallest and largest number. */
  range?: number[]
  keys?: Record<string, KeySchema>
  items?: KeySchema
  /** Known strings, each with limits of its own. */
  names?: Record<string, Placed>
  /** The key whose value chooses among `variants`. */
  tag?: string
  variants?: Record<string, Variant>
}

/** One of several dictionaries that may stand in the same place. */
export interface Variant extends Placed {
  keys: Record<string, KeySchema>
}

/** A RequestType. `on` names every platform that has it. */
export interface CommandSchema {
  on: Record<string, Limits>
  /** Keys of which at least one must be there. */
  needsOne?: string[]
  keys: Record<string, KeySchema>
}

interface CatalogueFile {
  rights: Record<string, { bit: number; title: string }>
  commands: Record<string, Omit<CommandSchema, 'keys'> & Partial<Pick<CommandSchema, 'keys'>>>
}

const file: CatalogueFile = data

/** The thirteen access rights of the MDM payload by Apple's name, with their bit (Apple: MDM, key AccessRights). */
export const rights = file.rights

/** Every MDM command Apple's schema describes, by RequestType. A Map, because a RequestType may be `constructor`. */
export const commands: ReadonlyMap<string, CommandSchema> = new Map(
  Object.entries(file.commands).map(([type, schema]) => [type, withRequestType(schema)]),
)

function withRequestType({ keys, ...schema }: CatalogueFile['commands'][string]): CommandSchema {
  return { ...schema, keys: { RequestType: { type: 'string', required: true }, ...keys } }
}
