import { createHmac, randomBytes } from 'node:crypto'

const NONCE_LENGTH = 12
const TAG_LENGTH = 10

/**
 * Makes a new 32-byte device token for a topic. It carries its own proof (a nonce, a tag over it, a tag over it and
 * the topic), so the stand-in remembers no tokens and still knows yesterday's after a restart.
 */
export function mintToken(secret: Buffer, topic: string): Buffer {
  const nonce = randomBytes(NONCE_LENGTH)
  return Buffer.concat([nonce, tag(secret, nonce), tag(secret, nonce, topic)])
}

/** Whether a token was made with this secret, and for this topic. */
export function judgeToken(secret: Buffer, token: Buffer, topic: string): 'valid' | 'unknown' | 'other_topic' {
  if (!isOurToken(secret, token)) return 'unknown'
  const nonce = token.subarray(0, NONCE_LENGTH)
  return tag(secret, nonce, topic).equals(token.subarray(NONCE_LENGTH + TAG_LENGTH)) ? 'valid' : 'other_topic'
}

/** Whether a token was made with this secret, for whatever topic. */
export function isOurToken(secret: Buffer, token: Buffer): boolean {
  const nonce = token.subarray(0, NONCE_LENGTH)
  const expected = tag(secret, nonce)
  return token.length === NONCE_LENGTH + 2 * TAG_LENGTH
    && expected.equals(token.subarray(NONCE_LENGTH, NONCE_LENGTH + TAG_LENGTH))
}

function tag(secret: Buffer, nonce: Buffer, topic = ''): Buffer {
  return createHmac('sha256', secret).update(nonce).update(topic).digest().subarray(0, TAG_LENGTH)
}
