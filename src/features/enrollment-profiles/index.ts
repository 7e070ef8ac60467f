/**
 * The ways in: enrollment links, the page behind them, and the profile that each delivery makes. Owns the tables
 * `enrollment_links` and `enrollment_attempts`. A link's uses are counted in the row itself, so any number of processes
 * may deliver from one link. The payload: https://developer.apple.com/documentation/devicemanagement/mdm
 */
export { registerEnrollmentLinks } from './api.ts'
export { registerEnrollmentAttempts } from './attempts-api.ts'
export { findAttempt, markStep, type Attempt, type AttemptStep } from './attempts.ts'
export { publishCheckinRoot } from './checkin-address.ts'
export { deliverProfile, profileIdentifier, type Delivery } from './deliver.ts'
export { createLink, revokeLink, type LinkInput } from './links.ts'
export { codePage, document, enrollmentPage, escapeHtml, problemPage, type Page } from './page.ts'
export type { PushTopics } from './push-topics.ts'
export { openLinkToken } from './secrets.ts'
export type { Link } from './store.ts'
export { enrollmentAttempts, enrollmentLinks } from './tables.ts'
