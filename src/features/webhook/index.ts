/**
 * Tells another server what devices said: the webhook of MicroMDM and NanoMDM, from an outbox. Owns `webhook_events`. The row is
 * written in the transaction of the message; any number of processes deliver, in order for each device, at least once.
 * Shape: https://github.com/micromdm/nanomdm/blob/main/docs/webhook-event.json
 */
export { deliverDue } from './deliver.ts'
export { bodyPlace, webhookRow, type Facts, type WebhookRow } from './row.ts'
export type { Message, Said } from './shape.ts'
export { forgetOldEvents, insertEvent } from './store.ts'
export { webhookEvents } from './tables.ts'
