import type { EncodablePlist } from '../apple/wire/plist-writer.ts'
import type { DeviceMemory, UserChannel } from './device-memory.ts'

/** What a device says to one query of DeviceInformation; undefined when this one has no such thing. */
export type Query = (phone: DeviceMemory, user: UserChannel | undefined) => EncodablePlist | undefined
