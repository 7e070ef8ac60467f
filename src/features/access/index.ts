/**
 * Who may enter by the admin door, and what for. Owns the tables `api_keys` and `setup_tokens`.
 *
 * A key is found by its SHA-256 and looked up on every request, so that a revoked one is refused at once by every
 * process. The first key comes from the setup token that a start prints, or from a bootstrap file; neither works once
 * there is a key.
 */
export { registerAccess } from './api.ts'
export { authenticate, principalFor } from './authenticate.ts'
export { createKey, revokeKey, type ApiKey, type KeyRequest, type NewApiKey } from './keys.ts'
export { bootstrapKey, makeSetupToken, useSetupToken } from './setup.ts'
export { hasKeyWith } from './store.ts'
export { apiKeys, setupTokens } from './tables.ts'
