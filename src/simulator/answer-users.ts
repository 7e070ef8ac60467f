import type { EncodableDict } from '../apple/wire/plist-writer.ts'
import { acknowledged, badFormat, failed, stringOf, type AnswerFunction } from './answer.ts'
import type { DeviceMemory, UserChannel } from './device-memory.ts'
import { errorItem, malformedRequest } from './error-chain.ts'

const QUOTA_BYTES = 8_589_934_592

/** Everybody with an account here; a Mac and a Shared iPad tell different things about them (Apple: User List). */
export const userList: AnswerFunction = ({ hardware, enrollment: { users } }) => {
  const entry = hardware.model.platform === 'mac' ? onMac : onSharedIpad
  return acknowledged({ Users: users.map(entry) })
}

/** Takes an account off the device, unless its owner is using it or it is not there. */
export const deleteUser: AnswerFunction = (phone, command) => {
  if (command['DeleteAllUsers'] === true) {
    keep(phone, ({ loggedIn }) => loggedIn)
    return acknowledged()
  }
  const name = stringOf(command['UserName'])
  if (name === undefined) return badFormat(malformedRequest('DeleteUser', 'UserName'))
  const found = phone.enrollment.users.find(({ user }) => user.shortName === name)
  if (!found) return failed(errorItem('MCMDMErrorDomain', 12071, `There is no user “${name}”.`))
  if (found.loggedIn) return failed(errorItem('MCMDMErrorDomain', 12074, `The user “${name}” is logged in.`))
  keep(phone, (other) => other !== found)
  return acknowledged()
}

/** Ends the session of whoever uses the iPad. */
export const logOutUser: AnswerFunction = ({ enrollment: { users } }) => (
  users.some(({ loggedIn }) => loggedIn)
    ? acknowledged(undefined, { kind: 'log_out' })
    : failed(errorItem('MCMDMErrorDomain', 12072, 'Nobody is logged in.'))
)

function keep({ enrollment }: DeviceMemory, wanted: (user: UserChannel) => boolean): void {
  enrollment.users = enrollment.users.filter(wanted)
}

function onSharedIpad({ user, loggedIn }: UserChannel): EncodableDict {
  return { DataQuota: QUOTA_BYTES, DataUsed: 104_857_600, HasDataToSync: false, IsLoggedIn: loggedIn, UserName: user.shortName }
}

function onMac({ user, loggedIn }: UserChannel, index: number): EncodableDict {
  const { id, shortName, longName, network = false } = user
  return {
    FullName: longName,
    HasSecureToken: !network,
    IsLoggedIn: loggedIn,
    MobileAccount: network,
    UID: 501 + index,
    UserGUID: id,
    UserName: shortName,
  }
}
