/**
 * What the access rights of a link mean to the person who holds the phone. One text for the page and for the consent
 * dialog, so that both say what the profile really grants. Rights are Apple's bits: the MDM payload, key AccessRights.
 */
export interface RightsInWords {
  canSee: string[]
  canDo: string[]
  never: string[]
}

const ERASE = 8

// A table, not a formula: [bit, which list, words].
const WORDS: readonly [bit: number, list: 'canSee' | 'canDo', words: string][] = [
  [16, 'canSee', 'Model, serial number, name, system version and free space'],
  [32, 'canSee', 'Phone number, SIM card and network addresses'],
  [256, 'canSee', 'The names of installed apps'],
  [1, 'canSee', 'Installed profiles and certificates'],
  [64, 'canSee', 'Installed provisioning profiles'],
  [512, 'canSee', 'Which restrictions are set'],
  [1024, 'canSee', 'Whether a passcode and encryption are on'],
  [2, 'canDo', 'Install and remove settings such as Wi-Fi, mail and restrictions'],
  [4096, 'canDo', 'Install and remove work apps'],
  [2048, 'canDo', 'Change settings such as roaming'],
  [128, 'canDo', 'Install and remove provisioning profiles'],
  [4, 'canDo', 'Lock the device and remove its passcode'],
  [ERASE, 'canDo', 'Erase the device'],
]

// No command of the protocol reads any of these, whatever the rights.
const NEVER = [
  'Messages, calls and personal mail',
  'Photos, videos and files',
  'Websites you visit',
  'Passwords',
  'What you do inside apps',
  'Where you are, unless a supervised device was put into Lost Mode',
]

// A profile may lose rights, but never gain any.
const CANNOT_ERASE = 'Erase this device: the right is not part of this profile and cannot be added later'

/** The rights of a link, a sum of Apple's bits, in words. */
export function rightsInWords(accessRights: number): RightsInWords {
  const granted = WORDS.filter(([bit]) => (accessRights & bit) !== 0)
  const list = (name: 'canSee' | 'canDo') => granted.filter(([, of]) => of === name).map(([, , words]) => words)
  const never = (accessRights & ERASE) === 0 ? [...NEVER, CANNOT_ERASE] : NEVER
  return { canSee: list('canSee'), canDo: list('canDo'), never }
}

/** The same as plain text, for the profile's ConsentText. */
export function consentText(organization: string, accessRights: number): string {
  const { canSee, canDo, never } = rightsInWords(accessRights)
  const sections = [section(`${organization} can see:`, canSee), section(`${organization} can:`, canDo)]
  const limits = section(`${organization} can never see or do:`, never)
  return [[`This device will be managed by ${organization}.`], ...sections, limits].flat().join('\n\n')
}

function section(title: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : [`${title}\n${lines.map((line) => `• ${line}`).join('\n')}`]
}
