import type { EncodablePlist } from '../apple/wire/plist-writer.ts'
import type { Hardware } from './hardware.ts'
import type { Query } from './query.ts'

type Cellular = NonNullable<Hardware['cellular']>

const modem = (value: (cellular: Cellular) => EncodablePlist): Query => (
  ({ hardware }) => hardware.cellular && value(hardware.cellular)
)

/** What devices of the iOS family tell about their modem, if they have one. */
export const CELLULAR_QUERIES: Readonly<Record<string, Query>> = {
  IMEI: modem(({ imei }) => imei),
  MEID: modem(({ meid }) => meid),
  ModemFirmwareVersion: modem(() => '2.21.00'),
  // 3: both GSM and CDMA; 0: none.
  CellularTechnology: ({ hardware }) => (hardware.cellular ? 3 : 0),
  ICCID: modem(({ iccid }) => iccid),
  PhoneNumber: modem(({ phoneNumber }) => phoneNumber),
  CurrentCarrierNetwork: modem(() => 'Telekom.de'),
  SubscriberCarrierNetwork: modem(() => 'Telekom.de'),
  CarrierSettingsVersion: modem(() => '61.0'),
  CurrentMCC: modem(() => '262'),
  CurrentMNC: modem(() => '01'),
  SubscriberMCC: modem(() => '262'),
  SubscriberMNC: modem(() => '01'),
  DataRoamingEnabled: ({ state, hardware }) => hardware.cellular && state.dataRoaming,
  VoiceRoamingEnabled: ({ state, hardware }) => hardware.cellular && state.voiceRoaming,
  PersonalHotspotEnabled: ({ state, hardware }) => hardware.cellular && state.personalHotspot,
  IsRoaming: modem(() => false),
  IsNetworkTethered: () => false,
  ServiceSubscriptions: modem(subscription),
}

function subscription({ imei, meid, iccid, phoneNumber }: Cellular): EncodablePlist {
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
