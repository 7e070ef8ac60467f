import { describe, expect, it } from 'vitest'
import { pushDisposition, type PushAnswer } from '../../../src/apple/cloud/apns.ts'

const UPDATED = new Date('2026-05-01T12:00:00Z')
const EARLIER = new Date(UPDATED.getTime() - 1)
const LATER = new Date(UPDATED.getTime() + 1)

const judge = (answer: PushAnswer) => pushDisposition(answer, UPDATED)
const refused = (status: number, reason?: string): PushAnswer =>
  ({ outcome: 'refused', status, ...(reason !== undefined && { reason }) })

describe('what an answer asks for', () => {
  it('is nothing more once APNs accepted', () => {
    expect(judge({ outcome: 'accepted', apnsId: 'id' })).toBe('accepted')
  })

  it('is another try when APNs was not reached', () => {
    expect(judge({ outcome: 'unreachable', detail: 'connection closed' })).toBe('retry')
  })

  it('is the end of the token when it died after the device last reported it', () => {
    expect(judge({ outcome: 'refused', status: 410, reason: 'Unregistered', timestamp: LATER })).toBe('token_dead')
    expect(judge({ outcome: 'refused', status: 410, reason: 'ExpiredToken', timestamp: LATER })).toBe('token_dead')
  })

  it('is the end of the token when APNs does not say since when', () => {
    expect(judge(refused(410, 'Unregistered'))).toBe('token_dead')
    expect(judge(refused(410))).toBe('token_dead')
  })

  it('is another try when the device reported the token since it was said to be dead, or at that instant', () => {
    expect(judge({ outcome: 'refused', status: 410, timestamp: EARLIER })).toBe('retry')
    expect(judge({ outcome: 'refused', status: 410, timestamp: UPDATED })).toBe('retry')
  })

  it.each(['BadDeviceToken', 'DeviceTokenNotForTopic'])('is a flag for 400 %s', (reason) => {
    expect(judge(refused(400, reason))).toBe('flag')
  })

  it.each(['BadCertificate', 'BadCertificateEnvironment', 'Forbidden', 'MissingProviderToken', undefined])(
    'is to stop the topic for 403 %s',
    (reason) => expect(judge(refused(403, reason))).toBe('topic_broken'),
  )

  it.each([
    [429, 'TooManyRequests'], [500, 'InternalServerError'], [502, undefined], [503, 'Shutdown'], [503, undefined],
    [400, 'IdleTimeout'],
  ])('is another try for %s %s', (status, reason) => {
    expect(judge(refused(status, reason))).toBe('retry')
  })

  it.each([
    [400, 'BadTopic'], [400, 'PayloadEmpty'], [400, undefined], [400, 'constructor'], [404, 'BadPath'],
    [405, 'MethodNotAllowed'], [413, 'PayloadTooLarge'], [404, 'BadDeviceToken'], [302, undefined],
  ])('is to give up for %s %s', (status, reason) => {
    expect(judge(refused(status, reason))).toBe('give_up')
  })
})
