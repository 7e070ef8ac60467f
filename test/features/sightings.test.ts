import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deps } from '../../src/base/deps.ts'
import type { EnrollmentId } from '../../src/base/ids.ts'
import { startSightings } from '../../src/features/enrollments/index.ts'
import { testDeps } from '../support/deps.ts'
import { freshDatabase, type FreshDatabase } from '../support/pg.ts'

let db: FreshDatabase
let deps: Deps
beforeAll(async () => {
  db = await freshDatabase()
  deps = testDeps(db.url)
})
afterAll(async () => {
  await deps.db.close()
  await db.drop()
})

/** A device channel with one user's, neither ever seen. */
async function mac(udid: string): Promise<{ device: EnrollmentId; user: EnrollmentId }> {
  await db.query(`insert into devices (id, device_key, device_key_kind, created_at, updated_at) values ($1, $1, 'udid', now(), now())`, [udid])
  const insert = (channel: string, userKey: string, parent: EnrollmentId | null) => db.query<{ id: EnrollmentId }>(
    `insert into enrollments (device_id, channel, user_key, parent_id, device_key, state, generation, created_at)
      values ($1, $2, $3, $4, $1, 'enrolled', 1, now()) returning id::int`, [udid, channel, userKey, parent])
  const [device] = await insert('device', '', null)
  const [user] = await insert('user', 'ada', device?.id ?? null)
  if (!device || !user) throw new Error('no rows')
  return { device: device.id, user: user.id }
}

const seen = async () => (await db.query<{ id: number }>('select enrollment_id::int as id from enrollment_sightings order by 1')).map(({ id }) => id)

describe('who has been seen', () => {
  it('is a device, also when one of its users spoke; and no user whose device spoke', async () => {
    const sightings = startSightings(deps)
    const [silent, spoke, spokeAsUser] = [await mac('SILENT'), await mac('SPOKE'), await mac('SPOKE-AS-USER')]
    sightings.saw(spoke.device)
    sightings.saw(spokeAsUser.user)
    await sightings.flush()
    expect(await seen()).toEqual([spoke.device, spokeAsUser.device, spokeAsUser.user])
    // Both at once, and again: one row each.
    sightings.saw(spokeAsUser.user)
    sightings.saw(spokeAsUser.device)
    await sightings.stop()
    expect(await seen()).toEqual([spoke.device, spokeAsUser.device, spokeAsUser.user])
    expect(await seen()).not.toContain(silent.device)
  })
})
