import type { EncodableDict } from '../apple/wire/plist-writer.ts'

/** One link of an ErrorChain; the first says what failed, the others why. */
export type ErrorItem = EncodableDict & { ErrorCode: number; ErrorDomain: string }

/**
 * One error as devices report it. Domains and codes are those of Apple's "MDM Protocol Reference" (Error Codes), which
 * also says that no server should depend on them; the words are ours.
 */
export function errorItem(domain: ErrorDomain, code: number, text: string): ErrorItem {
  return { ErrorCode: code, ErrorDomain: domain, LocalizedDescription: text, USEnglishDescription: text }
}

export type ErrorDomain =
  | 'MCMDMErrorDomain'
  | 'MCProfileErrorDomain'
  | 'MCInstallationErrorDomain'
  | 'MCPasscodeErrorDomain'
  | 'MCSettingsErrorDomain'

/** What an iPhone says to a command it does not know, and, as if it were the same, to one that needs supervision. */
export function invalidRequestType(requestType: string): ErrorItem {
  return errorItem('MCMDMErrorDomain', 12021, `“${requestType}” is not a valid request type.`)
}

/** The enrollment's AccessRights do not include what the command needs. */
export function notAuthorized(requestType: string): ErrorItem {
  return errorItem('MCMDMErrorDomain', 12007, `The MDM server is not authorized to perform “${requestType}”.`)
}

/** A key is missing or of the wrong type. */
export function malformedRequest(requestType: string, key: string): ErrorItem {
  return errorItem('MCMDMErrorDomain', 12008, `The request “${requestType}” is malformed: ${key}.`)
}
