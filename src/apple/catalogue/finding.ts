/** What a finding is about. */
export type FindingCode =
  | 'unknown_request_type' | 'platform' | 'os_version' | 'supervision' | 'automated_enrollment' | 'access_right'
  | 'user_enrollment' | 'channel' | 'missing_key' | 'wrong_type' | 'wrong_value' | 'unknown_key'

/** What the device or its enrollment lacks. */
export type Requirement =
  | 'platform' | 'os_version' | 'supervision' | 'automated_enrollment' | 'access_right' | 'device_enrollment'
  | 'device_channel' | 'user_channel' | 'shared_ipad' | 'single_user_ipad'

/** A refusal can never work on this device; a warning may, or only in part. */
export interface CommandFinding {
  level: 'refusal' | 'warning'
  code: FindingCode
  /** JSON Pointer (RFC 6901) below the Command dict. */
  pointer: string
  /** One sentence for an administrator. */
  detail: string
  requires?: Requirement
}

/** Collects findings. `detail` is asked for its sentence only when the finding is kept. */
export interface Findings {
  readonly list: CommandFinding[]
  note(finding: Omit<CommandFinding, 'detail'>, detail: () => string): void
}

// Nobody reads more, and a command of 8 MiB could have a finding for each of its keys.
const MOST_OF_A_LEVEL = 100

/** An empty collection. It keeps the first hundred findings of each level. */
export function newFindings(): Findings {
  const list: CommandFinding[] = []
  const room = { refusal: MOST_OF_A_LEVEL, warning: MOST_OF_A_LEVEL }
  return {
    list,
    note(finding, detail) {
      if (room[finding.level]-- > 0) list.push({ ...finding, detail: detail() })
    },
  }
}

/** The pointer to a member of what `pointer` points to. */
export function pointerTo(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`
}
