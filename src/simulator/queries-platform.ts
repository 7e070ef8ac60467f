import { isDesktop } from './queries-device.ts'
import type { Query } from './query.ts'

/** What only Macs tell, only Apple TVs, or only Shared iPads. */
export const PLATFORM_QUERIES: Readonly<Record<string, Query>> = {
  ProvisioningUDID: ({ hardware }) => hardware.provisioningUdid,
  IsAppleSilicon: () => true,
  HasBattery: ({ hardware }) => !isDesktop(hardware.model.modelName),
  IsActivationLockSupported: () => true,
  ActiveManagedUsers: ({ enrollment: { users } }) => users.filter(({ loggedIn }) => loggedIn).map(({ user }) => user.id),
  LocalHostName: ({ state }) => hostName(state.deviceName),
  HostName: ({ state }) => `${hostName(state.deviceName)}.local`,
  SystemIntegrityProtectionEnabled: () => true,
  SupportsLOMDevice: () => false,
  EthernetMAC: ({ hardware }) => hardware.ethernetMac,
  // Macs with Apple silicon are locked and erased without one.
  PINRequiredForEraseDevice: () => false,
  PINRequiredForDeviceLock: () => false,
  SupportsiOSAppInstalls: () => true,
  EACSPreflight: () => 'success',

  DeviceID: ({ hardware }) => hardware.bluetoothMac,

  MaximumResidentUsers: () => 8,
  EstimatedResidentUsers: () => 8,
  QuotaSize: () => 8_192,
  ResidentUsers: ({ enrollment: { users } }) => users.length,
  UserSessionTimeout: () => 0,
  TemporarySessionTimeout: () => 0,
  TemporarySessionOnly: () => false,
}

function hostName(deviceName: string): string {
  return deviceName.replaceAll(/[^A-Za-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')
}
