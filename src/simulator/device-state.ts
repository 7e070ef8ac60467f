import { createHash } from 'node:crypto'
import type { Hardware } from './hardware.ts'
import type { InstalledProfile } from './installed-profile.ts'

/** An app that a person or the server put on the device. Sizes are in bytes. */
export interface InstalledApp {
  identifier: string
  name: string
  version: string
  bundleSize: number
  managed: boolean
  hasConfiguration: boolean
}

/** What commands and people change on a device; gone when it is erased. Plain JSON, so that it can be kept. */
export interface DeviceState {
  deviceName: string
  supervised: boolean
  /** An iPad that several people use, one after the other, each under a Managed Apple Account. */
  sharedIpad?: boolean
  /** Came by Automated Device Enrollment: true while Setup Assistant waits for DeviceConfigured, false when it did. */
  awaitingConfiguration?: boolean
  /** On a Shared iPad: whoever is new waits for UserConfigured. */
  awaitUserConfiguration?: boolean
  passcodePresent: boolean
  /** The lock screen says this since the last DeviceLock. */
  lockScreen?: { message?: string; phoneNumber?: string }
  lostMode?: { message?: string; phoneNumber?: string; footnote?: string }
  /** 0 to 1. */
  batteryLevel: number
  availableCapacityGb: number
  timeZone: string
  dataRoaming: boolean
  voiceRoaming: boolean
  personalHotspot: boolean
  bluetooth: boolean
  activationLockAllowedWhileSupervised: boolean
  organizationInfo?: Record<string, string>
  wallpaperBytes?: number
  restarts: number
  soundsPlayed: number
  /** The enrollment profile is the first. */
  profiles: InstalledProfile[]
  apps: InstalledApp[]
}

/**
 * What can be chosen of a new device. `deviceName` is the model's name unless given. A Mac is supervised by being managed
 * (macOS 11), a Shared iPad always.
 */
export interface StateChoices {
  deviceName?: string | undefined
  supervised?: boolean | undefined
  sharedIpad?: boolean | undefined
  awaitingConfiguration?: boolean | undefined
  passcodePresent?: boolean | undefined
}

/** A device in use for a while: charged somewhat, with a passcode and a few apps of its owner. */
export function freshState({ model, serialNumber }: Hardware, choices: StateChoices = {}): DeviceState {
  // Differs from phone to phone, and stays what it is for one.
  const wear = createHash('sha256').update(serialNumber).digest().readUInt16BE(30) / 0xFFFF
  const shared = choices.sharedIpad ?? false
  return {
    deviceName: choices.deviceName ?? model.modelName,
    supervised: choices.supervised ?? (shared || model.platform === 'mac'),
    ...(shared && { sharedIpad: true }),
    ...(choices.awaitingConfiguration !== undefined && { awaitingConfiguration: choices.awaitingConfiguration }),
    passcodePresent: choices.passcodePresent ?? (!shared && model.platform !== 'appletv'),
    batteryLevel: Math.round((0.3 + wear * 0.69) * 100) / 100,
    availableCapacityGb: Math.round(model.capacityGb * (0.35 + wear * 0.5) * 100) / 100,
    timeZone: 'Europe/Berlin',
    dataRoaming: false,
    voiceRoaming: false,
    personalHotspot: false,
    bluetooth: true,
    activationLockAllowedWhileSupervised: false,
    restarts: 0,
    soundsPlayed: 0,
    profiles: [],
    apps: [
      app('com.example.fieldnotes', 'Field Notes', '4.2.1', 38_512_640),
      app('com.example.transit', 'Transit Times', '11.0', 71_303_168),
      app('org.example.chess', 'Chess & Go', '2.7', 15_204_352),
    ],
  }
}

function app(identifier: string, name: string, version: string, bundleSize: number): InstalledApp {
  return { identifier, name, version, bundleSize, managed: false, hasConfiguration: false }
}
