/**
 * The queue and the answers. Owns `commands` (open ones only), `command_results` (append-only) and `command_bodies`.
 * Delivered at least once, in order, one at a time; runs in any number of processes, because every verb holds the
 * enrollment row. Apple: https://developer.apple.com/documentation/devicemanagement/commands-and-queries
 */
export { registerCommands } from './api.ts'
export { enqueue, type CommandRequest, type Target } from './enqueue.ts'
export { enqueueForMany, type EnqueueOutcome, type RawRequest } from './enqueue-for-many.ts'
export { isDestructive } from './kinds.ts'
export { poll, type PollAnswer } from './poll.ts'
export { countOpen } from './read.ts'
export { expireDue } from './expire.ts'
export { commandBodies, commandResults, commands } from './tables.ts'
