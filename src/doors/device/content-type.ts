import { Problem } from '../../base/problem.ts'

/**
 * What a message on /mdm is, by its exact media type. A report without any Content-Type is accepted, because real clients
 * omit it (shared decision 1); everything else is 415.
 */
export function messageKind(contentType: string | undefined): 'checkin' | 'report' {
  if (contentType === undefined) return 'report'
  const [type = ''] = contentType.split(';', 1)
  if (type.toLowerCase() === 'application/x-apple-aspen-mdm-checkin') return 'checkin'
  if (type.toLowerCase() === 'application/x-apple-aspen-mdm') return 'report'
  throw new Problem('unsupported_content')
}
