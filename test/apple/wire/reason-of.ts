import { WireError } from '../../../src/apple/wire/error.ts'

/** Why `act` was refused: the reason of its WireError, or 'accepted'. Any other error goes on and fails the test. */
export function reasonOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof WireError) return error.reason
    throw error
  }
  return 'accepted'
}
