/**
 * Declarative management: what a device is told to be, and what it reports of itself. Owns `declaration_status`. The set
 * of every channel is the empty one; what a channel reports is merged and kept. Runs in any number of processes, because
 * every verb holds the enrollment row.
 * Apple: https://developer.apple.com/documentation/devicemanagement/declarative-management-checkin
 */
export { answerDeclarative, type DeclarativeAnswer } from './answer.ts'
export { declarationStatus } from './tables.ts'
