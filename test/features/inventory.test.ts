import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import { learn } from '../../src/features/inventory/index.ts'
import { startBramley, still, type TestServer } from '../support/bramley.ts'
import { testDeps } from '../support/deps.ts'
import { enrolledDevice, type RawDevice } from '../support/raw-device.ts'

let server: TestServer
let deps: Deps
beforeAll(async () => {
  server = await startBramley()
  deps = testDeps(server.db.url)
})
afterAll(async () => {
  await deps.db.close()
  await server.stop()
})

/** The device is asked and answers; returns the command's id. */
async function told(device: RawDevice, responses: Record<string, string | boolean>): Promise<string> {
  const { id } = (await server.api('POST', `/devices/${device.udid}/commands`, { type: 'DeviceInformation', params: { Queries: Object.keys(responses) } })).json<{ id: string }>()
  await device.acknowledge((await device.idle())!, { QueryResponses: responses })
  return id
}

const known = () => server.db.query('select device_key, name, os_version, supervised, facts from devices order by device_key')

it('learns from many answers at once, of each device the newest last, in whatever order they are named; again changes nothing', async () => {
  const a = await enrolledDevice(server, '00008150-000A11C20B78401A')
  const b = await enrolledDevice(server, '00008150-000A11C20B78401B')
  const ids = [
    await told(a, { DeviceName: 'Ada’s first', OSVersion: '18.0' }), await told(a, { DeviceName: 'Ada’s', IsSupervised: true }),
    await told(b, { DeviceName: 'Bob’s', OSVersion: '18.2' }),
  ]
  await still(server)
  const expected = [
    { device_key: a.udid, name: 'Ada’s', os_version: '18.0', supervised: true, facts: { DeviceName: 'Ada’s', OSVersion: '18.0', IsSupervised: true } },
    { device_key: b.udid, name: 'Bob’s', os_version: '18.2', supervised: null, facts: { DeviceName: 'Bob’s', OSVersion: '18.2' } },
  ]
  expect(await known()).toEqual(expected)
  await server.db.query(`update devices set facts = '{}', facts_at = null, name = null, os_version = null, supervised = null`)
  await learn(deps, ids.toReversed())
  expect(await known()).toEqual(expected)
  await learn(deps, [ids[0]!])
  expect(await known()).toEqual(expected)
})
