import { Problem } from '../../base/problem.ts'

export type MessageKind = 'checkin' | 'report'

/**
 * What a message is, by its exact media type, among the kinds that are welcome on its route. A report without any
 * Content-Type is accepted, because real clients omit it (shared decision 1); everything else is 415.
 */
export function messageKind(contentType: string | undefined, welcome: readonly MessageKind[]): MessageKind {
  const kind = read(contentType)
  if (!welcome.includes(kind)) throw new Problem('unsupported_content')
  return kind
}

function read(contentType: string | undefined): MessageKind {
  if (contentType === undefined) return 'report'
  const [type = ''] = contentType.split(';', 1)
  if (type.toLowerCase() === 'application/x-apple-aspen-mdm-checkin') return 'checkin'
  if (type.toLowerCase() === 'application/x-apple-aspen-mdm') return 'report'
  throw new Problem('unsupported_content')
}
