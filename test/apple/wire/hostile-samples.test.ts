import { describe, expect, it } from 'vitest'
import { parseCheckin } from '../../../src/apple/wire/checkin.ts'
import { parseReport } from '../../../src/apple/wire/report.ts'
import { reasonOf } from './reason-of.ts'
import { sample, sampleNames } from './samples.ts'

// 'accepted' are well-formed messages; what is wrong with them only the server can know.
const checkins: Record<string, string> = {
  '01-empty-body': 'root',
  '02-json-instead-of-plist': 'root',
  '03-truncated': 'xml',
  '04-root-is-array': 'type',
  '05-no-messagetype': 'type',
  '06-unknown-messagetype': 'message_type',
  '07-xxe-external-entity': 'doctype',
  '08-entity-bomb': 'doctype',
  '09-no-identifier': 'identifier',
  '10-udid-and-enrollmentid-conflict': 'identifier',
  '11-messagetype-wrong-type': 'type',
  '12-udid-injection': 'identifier',
  '13-token-is-string': 'type',
  '14-bad-base64': 'data',
  '15-foreign-topic': 'accepted',
  '16-deep-nesting': 'depth',
  '17-duplicate-keys': 'duplicate_key',
  '18-proto-pollution': 'key',
  '20-binary-plist': 'bplist',
  '25-ddm-path-traversal': 'endpoint',
  '26-ddm-unknown-endpoint': 'endpoint',
  '27-ddm-status-bad-json': 'json',
  '28-ddm-status-no-data': 'type',
  '29-ddm-status-proto-and-deep': 'depth',
  '30-shared-ipad-sentinel-without-shortname': 'identifier',
  '31-control-characters': 'character',
  '32-latin1-claiming-utf8': 'charset',
  '33-authenticate-without-topic': 'type',
  '34-empty-udid': 'identifier',
  '36-markup-in-names': 'accepted',
}
const reports: Record<string, string> = {
  '19-numbers-out-of-range': 'integer',
  '21-unknown-status': 'status',
  '22-ack-without-uuid': 'command_uuid',
  '23-ack-unknown-uuid': 'accepted',
  '24-ack-foreign-command': 'accepted',
  '35-plist-two-roots': 'xml',
}

describe('hostile messages', () => {
  for (const [file, reason] of Object.entries(checkins)) {
    it(`${file}: ${reason}`, () => {
      expect(reasonOf(() => parseCheckin(sample('hostile', `${file}.plist`)))).toBe(reason)
    })
  }

  for (const [file, reason] of Object.entries(reports)) {
    it(`${file}: ${reason}`, () => {
      expect(reasonOf(() => parseReport(sample('hostile', `${file}.plist`)))).toBe(reason)
    })
  }

  it('are all tried', () => {
    const tried = Object.keys({ ...checkins, ...reports }).map((file) => `${file}.plist`).sort()
    expect(tried).toEqual(sampleNames('hostile'))
  })

  it('do not reach the prototype of objects', () => {
    expect(reasonOf(() => parseCheckin(sample('hostile', '18-proto-pollution.plist')))).toBe('key')
    expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined()
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('may have markup in names, which stays text', () => {
    expect(parseCheckin(sample('hostile', '36-markup-in-names.plist'))).toMatchObject({
      DeviceName: '"><img src=x onerror=alert(1)>', SerialNumber: '=HYPERLINK("http://evil")',
    })
  })
})
