import { PlistReal } from '../apple/wire/plist-writer.ts'
import type { Platform } from './models.ts'
import type { Query } from './query.ts'

const MODEL_NAMES: Partial<Record<Platform, string>> = { iphone: 'iPhone', ipad: 'iPad' }

/** What most devices tell; where a platform does not have one, Apple's catalogue leaves it out. */
export const DEVICE_QUERIES: Readonly<Record<string, Query>> = {
  UDID: ({ hardware }) => hardware.udid,
  OrganizationInfo: ({ state }) => state.organizationInfo,
  MDMOptions: ({ state, enrollment, hardware }) => ({
    ActivationLockAllowedWhileSupervised: state.activationLockAllowedWhileSupervised,
    BootstrapTokenAllowed: hardware.model.platform === 'mac' ? enrollment.bootstrapToken !== undefined : undefined,
  }),
  AwaitingConfiguration: ({ state }, user) => (user ?? state).awaitingConfiguration === true,
  iTunesStoreAccountIsActive: ({ state }) => !state.sharedIpad,
  PushToken: ({ enrollment }, user) => (user ?? enrollment).pushToken,

  DeviceName: ({ state }) => state.deviceName,
  OSVersion: ({ hardware }) => hardware.model.osVersion,
  BuildVersion: ({ hardware }) => hardware.model.buildVersion,
  ModelName: ({ hardware: { model } }) => MODEL_NAMES[model.platform] ?? model.modelName,
  Model: ({ hardware: { model } }) => (model.platform === 'mac' ? model.productName : model.modelNumber),
  ModelNumber: ({ hardware }) => hardware.model.modelNumber,
  ProductName: ({ hardware }) => hardware.model.productName,
  SerialNumber: ({ hardware }) => hardware.serialNumber,
  DeviceCapacity: ({ hardware }) => new PlistReal(hardware.model.capacityGb),
  AvailableDeviceCapacity: ({ state }) => new PlistReal(state.availableCapacityGb),
  // A Mac without a battery says -1.
  BatteryLevel: ({ state, hardware }) => new PlistReal(isDesktop(hardware.model.modelName) ? -1 : state.batteryLevel),
  IsSupervised: ({ state }) => state.supervised,
  IsMultiUser: ({ state }) => state.sharedIpad === true,
  IsDeviceLocatorServiceEnabled: ({ state }) => !state.sharedIpad,
  IsActivationLockEnabled: ({ state }) => !state.supervised || state.activationLockAllowedWhileSupervised,
  IsDoNotDisturbInEffect: () => false,
  IsCloudBackupEnabled: ({ state }) => !state.sharedIpad,
  IsMDMLostModeEnabled: ({ state }) => state.lostMode !== undefined,
  EASDeviceIdentifier: ({ hardware }) => hardware.serialNumber.padStart(26, '0'),
  DiagnosticSubmissionEnabled: () => false,
  AppAnalyticsEnabled: () => false,
  TimeZone: ({ state }) => state.timeZone,
  WiFiMAC: ({ hardware }) => hardware.wifiMac,
  BluetoothMAC: ({ hardware }) => hardware.bluetoothMac,
}

/** Whether a Mac of this name stands on a desk for good. */
export function isDesktop(modelName: string): boolean {
  return modelName === 'Mac mini'
}
