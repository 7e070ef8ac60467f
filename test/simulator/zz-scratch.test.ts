import { afterAll, beforeAll, expect, it } from 'vitest'
import { startBramley, type TestServer } from '../support/bramley.ts'
import { enrollDevice, startFleet, saveDevice, resumeDevice, connectApnsListener } from '../../src/simulator/index.ts'

let server: TestServer
beforeAll(async () => { server = await startBramley() })
afterAll(async () => { await server?.stop() })

it('enrolls and answers a push', async () => {
  const link = await server.link()
  const apns = await connectApnsListener({ host: server.apns.host, port: server.apns.port, ca: server.apns.caPem })
  const t = performance.now()
  const device = await enrollDevice({ url: server.url, link, ca: server.ca, apns })
  console.log('enrolled in', performance.now() - t)
  await device.settled()
  const list = (await server.api('GET', '/devices')).json<{ data?: any[]; items?: any[] }>()
  console.log(JSON.stringify(list, null, 1).slice(0, 1500))
  const id = (list.data ?? list.items ?? [])[0].id
  const n = device.history.length
  const q = await server.api('POST', `/devices/${id}/commands`, { type: 'ProfileList' })
  console.log(q.status, q.body.toString().slice(0, 500))
  await device.executed(n + 1)
  console.log(device.history, device.pushes)
  await device.renewIdentity()
  await device.poll()
  const saved = JSON.parse(JSON.stringify(saveDevice(device)))
  await device.stop()
  const again = await resumeDevice(saved, { ca: server.ca, apns })
  const q2 = await server.api('POST', `/devices/${id}/commands`, { type: 'DeviceLock', params: { Message: 'hi', PhoneNumber: '1' } })
  console.log(q2.status)
  await again.executed(1)
  console.log(again.history, again.state.lockScreen)
  await again.behave({ notNow: 'until_unlocked' })
  await server.api('POST', `/devices/${id}/commands`, { type: 'SecurityInfo' })
  await again.executed(2)
  await again.unlock()
  console.log(again.history)
  await again.tokenUpdate({ newToken: true })
  await again.reauthenticate()
  console.log(await again.poll())
  await server.api('POST', `/devices/${id}/commands`, { type: 'RemoveProfile', params: { Identifier: again.memory.enrollment.profile.identifier } })
  await again.settled()
  console.log(await again.poll(), again.phase)
  await again.stop(); await apns.close()
})
it('fleet', async () => {
  const link = await server.link({ max_uses: 3 })
  const t = performance.now()
  const fleet = await startFleet({ url: server.url, link, count: 5, ca: server.ca, apns: { host: server.apns.host, port: server.apns.port, ca: server.apns.caPem }, log: (e) => console.log(e.kind, 'error' in e ? String(e.error) : '') })
  console.log(fleet.devices.length, fleet.failures.map(String), performance.now() - t)
  await fleet.stop()
  await startFleet({ url: server.url, link: 'K7Q4-M2XP', count: 5, ca: server.ca }).catch((e) => console.log(String(e)))
  await startFleet({ url: server.url, link, count: 1, patience: {attempts: 1} }).catch((e) => console.log(String(e)))
})
