/**
 * Whether this can be an MDM push topic: the UID in the subject of a push certificate, which Apple always begins with
 * `com.apple.mgmt.`. At most 255 characters, none of them a control character.
 */
export function isMdmTopic(text: string): boolean {
  return /^com\.apple\.mgmt\.\P{Cc}{1,240}$/u.test(text)
}
