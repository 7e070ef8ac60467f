import pg from 'pg'
import { expect, it } from 'vitest'
import { freshDatabase, ownCluster } from './pg.ts'

it('gives every test file a migrated database of its own', async () => {
  const [one, two] = await Promise.all([freshDatabase(), freshDatabase()])
  expect(await one.query('select max(number) > 0 as migrated from migrations')).toEqual([{ migrated: true }])
  await one.query('create table only_here (id int)')
  expect(await two.query(`select to_regclass('only_here') as found`)).toEqual([{ found: null }])
  await one.drop()
  await two.drop()
  const client = new pg.Client({ connectionString: one.url })
  await expect(client.connect()).rejects.toThrow(/does not exist/)
})

it('kills and restarts a cluster of its own without losing what was committed', async () => {
  const cluster = await ownCluster()
  const url = cluster.url()
  const before = await connected(url)
  expect((await before.query('show fsync')).rows).toEqual([{ fsync: 'on' }])
  await before.query('create table kept as select 7 as value')
  await cluster.stopImmediate()
  await expect(before.query('select 1')).rejects.toThrow()
  await cluster.start()
  expect(cluster.url()).toBe(url)
  const after = await connected(url)
  expect((await after.query('select value from kept')).rows).toEqual([{ value: 7 }])
  await after.end()
  await cluster.destroy()
  await expect(connected(url)).rejects.toThrow(/ENOENT/)
})

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}
