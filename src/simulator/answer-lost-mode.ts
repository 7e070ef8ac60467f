import { acknowledged, failed, type AnswerFunction } from './answer.ts'
import { PlistReal } from '../apple/wire/plist-writer.ts'
import { errorItem } from './error-chain.ts'

/** Lost Mode needs something to show: a message or a number. */
export const enableLostMode: AnswerFunction = ({ state }, command) => {
  const { Message: message, PhoneNumber: phoneNumber, Footnote: footnote } = command
  if (typeof message !== 'string' && typeof phoneNumber !== 'string') {
    return failed(errorItem('MCMDMErrorDomain', 12066, 'Lost Mode needs a message or a phone number.'))
  }
  state.lostMode = {
    ...(typeof message === 'string' && { message }),
    ...(typeof phoneNumber === 'string' && { phoneNumber }),
    ...(typeof footnote === 'string' && { footnote }),
  }
  return acknowledged()
}

export const disableLostMode: AnswerFunction = ({ state }) => {
  if (!state.lostMode) return notLost()
  delete state.lostMode
  return acknowledged()
}

export const playLostModeSound: AnswerFunction = ({ state }) => {
  if (!state.lostMode) return notLost()
  state.soundsPlayed += 1
  return acknowledged()
}

/** A place near the Brandenburg Gate, a little elsewhere for each device. */
export const deviceLocation: AnswerFunction = ({ state, hardware }, _command, now) => {
  if (!state.lostMode) return notLost()
  const offset = (Number.parseInt(hardware.udid.slice(-4), 16) || 0) / 0xFFFF / 100
  return acknowledged({
    Altitude: new PlistReal(38.2),
    Course: new PlistReal(-1),
    HorizontalAccuracy: new PlistReal(12.5),
    Latitude: new PlistReal(52.51 + offset),
    Longitude: new PlistReal(13.37 + offset),
    Speed: new PlistReal(-1),
    Timestamp: now,
    VerticalAccuracy: new PlistReal(4),
  })
}

function notLost() {
  return failed(errorItem('MCMDMErrorDomain', 12067, 'The device is not in MDM Lost Mode.'))
}
