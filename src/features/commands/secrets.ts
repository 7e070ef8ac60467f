import type { Json } from '../../apple/wire/json.ts'

/**
 * Keys of answers that hold secrets: codes and keys that unlock a device, and what belongs to the push target. They stay in
 * the sealed raw answer and are left out of the readable one.
 */
const SECRET_KEYS = new Set([
  'ActivationLockBypassCode', 'EncryptedNewRecoveryKey', 'FDE_PersonalRecoveryKeyCMS', 'FDE_PersonalRecoveryKey', 'UnlockToken', 'BootstrapToken',
  'PushMagic', 'PushToken', 'Token', 'AuthToken', 'Password', 'Passcode', 'PIN', 'TokenData', 'NewPassword',
])

/** The same answer with `"<sealed>"` in the place of every secret, at any depth. */
export function withoutSecrets(fields: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, SECRET_KEYS.has(key) ? '<sealed>' : clean(value)]))
}

function clean(value: Json): Json {
  if (Array.isArray(value)) return value.map(clean)
  if (typeof value === 'object' && value !== null) return withoutSecrets(value as Record<string, Json>)
  return value
}
