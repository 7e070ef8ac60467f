/**
 * What devices told us about themselves: keeps the newest answers to DeviceInformation and SecurityInfo with the device.
 * Owns no table of its own; writes the facts of `devices`.
 */
export { learn, TELLING_TYPES } from './learn.ts'
