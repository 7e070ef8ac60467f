import { PlistReal, type EncodablePlist } from '../apple/wire/plist-writer.ts'
import { acknowledged, stringsOf, type AnswerFunction } from './answer.ts'
import { rightsOf, type DeviceMemory } from './device-memory.ts'
import type { Hardware } from './hardware.ts'

interface Query {
  /** The access right it needs (Apple: DeviceInformation, per query); none when absent. */
  right?: number
  /** Undefined when this device has no such thing. */
  value: (phone: DeviceMemory) => EncodablePlist | undefined
}

/**
 * Answers what was asked, or everything without `Queries`. What the device has no right to tell, or does not know,
 * is left out without a word (protocol: DeviceInformation).
 */
export const deviceInformation: AnswerFunction = (phone, command) => {
  const rights = rightsOf(phone)
  const asked = stringsOf(command['Queries']) ?? Object.keys(QUERIES)
  const answers = asked.flatMap((name) => {
    const query = Object.hasOwn(QUERIES, name) ? QUERIES[name] : undefined
    const allowed = query && (query.right === undefined || (rights & query.right) !== 0)
    return allowed ? [[name, query.value(phone)] as const] : []
  })
  return acknowledged({ QueryResponses: Object.fromEntries(answers) })
}

const always = (value: Query['value']): Query => ({ value })
const device = (value: Query['value']): Query => ({ right: 16, value })
const network = (value: Query['value']): Query => ({ right: 32, value })
const modem = (value: (cellular: NonNullable<Hardware['cellular']>) => EncodablePlist) =>
  ({ hardware }: DeviceMemory) => hardware.cellular && value(hardware.cellular)

const QUERIES: Record<string, Query> = {
  UDID: always(({ hardware }) => hardware.udid),
  OrganizationInfo: always(({ state }) => state.organizationInfo),
  MDMOptions: always(({ state }) => (
    { ActivationLockAllowedWhileSupervised: state.activationLockAllowedWhileSupervised }
  )),
  AwaitingConfiguration: always(() => false),
  iTunesStoreAccountIsActive: { right: 4096, value: () => true },

  DeviceName: device(({ state }) => state.deviceName),
  OSVersion: device(({ hardware }) => hardware.model.osVersion),
  BuildVersion: device(({ hardware }) => hardware.model.buildVersion),
  ModelName: device(({ hardware }) => (hardware.model.platform === 'ipad' ? 'iPad' : 'iPhone')),
  Model: device(({ hardware }) => hardware.model.modelNumber),
  ModelNumber: device(({ hardware }) => hardware.model.modelNumber),
  ProductName: device(({ hardware }) => hardware.model.productName),
  SerialNumber: device(({ hardware }) => hardware.serialNumber),
  DeviceCapacity: device(({ hardware }) => new PlistReal(hardware.model.capacityGb)),
  AvailableDeviceCapacity: device(({ state }) => new PlistReal(state.availableCapacityGb)),
  BatteryLevel: device(({ state }) => new PlistReal(state.batteryLevel)),
  IMEI: device(modem(({ imei }) => imei)),
  MEID: device(modem(({ meid }) => meid)),
  ModemFirmwareVersion: device(modem(() => '2.21.00')),
  // 3: both GSM and CDMA; 0: none.
  CellularTechnology: device(({ hardware }) => (hardware.cellular ? 3 : 0)),
  IsSupervised: device(({ state }) => state.supervised),
  IsMultiUser: device(() => false),
  IsDeviceLocatorServiceEnabled: device(() => true),
  IsActivationLockEnabled: device(({ state }) => !state.supervised || state.activationLockAllowedWhileSupervised),
  IsDoNotDisturbInEffect: device(() => false),
  IsCloudBackupEnabled: device(() => true),
  IsMDMLostModeEnabled: device(({ state }) => state.lostMode !== undefined),
  EASDeviceIdentifier: device(({ hardware }) => hardware.serialNumber.padStart(26, '0')),
  DiagnosticSubmissionEnabled: device(() => false),
  AppAnalyticsEnabled: device(() => false),
  TimeZone: device(({ state }) => state.timeZone),

  WiFiMAC: network(({ hardware }) => hardware.wifiMac),
  BluetoothMAC: network(({ hardware }) => hardware.bluetoothMac),
  ICCID: network(modem(({ iccid }) => iccid)),
  PhoneNumber: network(modem(({ phoneNumber }) => phoneNumber)),
  CurrentCarrierNetwork: network(modem(() => 'Telekom.de')),
  SubscriberCarrierNetwork: network(modem(() => 'Telekom.de')),
  CarrierSettingsVersion: network(modem(() => '61.0')),
  CurrentMCC: network(modem(() => '262')),
  CurrentMNC: network(modem(() => '01')),
  SubscriberMCC: network(modem(() => '262')),
  SubscriberMNC: network(modem(() => '01')),
  DataRoamingEnabled: network(({ state, hardware }) => hardware.cellular && state.dataRoaming),
  VoiceRoamingEnabled: network(({ state, hardware }) => hardware.cellular && state.voiceRoaming),
  PersonalHotspotEnabled: network(({ state, hardware }) => hardware.cellular && state.personalHotspot),
  IsRoaming: network(modem(() => false)),
  IsNetworkTethered: network(() => false),
  ServiceSubscriptions: network(modem(subscription)),
}

function subscription({ imei, meid, iccid, phoneNumber }: NonNullable<Hardware['cellular']>): EncodablePlist {
  return [{
    CarrierSettingsVersion: '61.0',
    CurrentCarrierNetwork: 'Telekom.de',
    CurrentMCC: '262',
    CurrentMNC: '01',
    ICCID: iccid,
    IMEI: imei,
    IsDataPreferred: true,
    IsRoaming: false,
    IsVoicePreferred: true,
    Label: 'Primary',
    LabelID: '00000000-0000-0000-0000-000000000001',
    MEID: meid,
    PhoneNumber: phoneNumber,
    Slot: 'CTSubscriptionSlotOne',
  }]
}
