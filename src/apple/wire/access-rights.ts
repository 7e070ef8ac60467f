/** The thirteen rights of an MDM enrollment (Apple: MDM payload, AccessRights), named as in Apple's schema. */
export const ACCESS_RIGHTS: readonly AccessRight[] = [
  { bit: 1, name: 'ProfileInspection', text: 'inspect configuration profiles' },
  { bit: 2, name: 'ProfileInstallRemove', text: 'install and remove configuration profiles' },
  { bit: 4, name: 'LockAndPasscodeRemoval', text: 'device lock and passcode removal' },
  { bit: 8, name: 'DeviceErase', text: 'erase' },
  { bit: 16, name: 'QueryDeviceInfo', text: 'device information' },
  { bit: 32, name: 'QueryNetworkInfo', text: 'network information' },
  { bit: 64, name: 'ProvisioningInspection', text: 'inspect provisioning profiles' },
  { bit: 128, name: 'ProvisioningInstallRemove', text: 'install and remove provisioning profiles' },
  { bit: 256, name: 'QueryApplications', text: 'inspect installed apps' },
  { bit: 512, name: 'QueryRestrictions', text: 'restriction queries' },
  { bit: 1024, name: 'QuerySecurity', text: 'security queries' },
  { bit: 2048, name: 'Settings', text: 'settings' },
  { bit: 4096, name: 'AppManagement', text: 'app management' },
]

export interface AccessRight {
  bit: number
  name: string
  text: string
}

const ALL_RIGHTS = 8191

/** Why a device would refuse a profile with these rights; `undefined` when it would not. */
export function checkAccessRights(rights: number): string | undefined {
  if (!Number.isInteger(rights) || rights < 1) return 'at least one access right is needed'
  if (rights > ALL_RIGHTS) return `the sum of all access rights is ${ALL_RIGHTS}`
  if ((rights & 2) !== 0 && (rights & 1) === 0) return 'installing configuration profiles (2) needs inspecting them (1)'
  if ((rights & 128) !== 0 && (rights & 64) === 0) {
    return 'installing provisioning profiles (128) needs inspecting them (64)'
  }
  return undefined
}
