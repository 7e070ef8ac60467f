import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REFUSALS } from '../../src/doors/device/speech.ts'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))

describe('the device door', () => {
  it('has no word for 401 and none for 403: devices answer those by removing the enrollment', () => {
    expect(REFUSALS).not.toContain(401)
    expect(REFUSALS).not.toContain(403)
  })

  it('says no in one place only', () => {
    const files = readdirSync(join(SRC, 'doors/device')).filter((file) => file !== 'speech.ts')
    const statuses = files.flatMap((file) => [...readFileSync(join(SRC, 'doors/device', file), 'utf8').matchAll(/\.code\((\d+)\)/g)].map(([, status]) => Number(status)))
    expect([...new Set(statuses)].toSorted((a, b) => a - b)).toEqual([200, 405])
  })
})
