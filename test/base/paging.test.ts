import { describe, expect, it } from 'vitest'
import { randomBytes } from 'node:crypto'
import { page, readCursor, writeCursor } from '../../src/base/paging.ts'
import { openVault } from '../../src/base/vault.ts'

const vault = openVault(randomBytes(32))
const refused = expect.objectContaining({ code: 'bad_cursor' })

describe('a cursor', () => {
  const cursor = writeCursor(vault, 'devices q=a', 'dev_01')

  it('brings back the key it was made of, in a process with the same master key', () => {
    expect(readCursor(vault, 'devices q=a', cursor)).toBe('dev_01')
    expect(readCursor(vault, 'devices', undefined)).toBeUndefined()
  })

  it('opens only the list, with the filters, that it was made for', () => {
    for (const list of ['devices', 'devices q=b', 'commands q=a', '']) expect(() => readCursor(vault, list, cursor)).toThrow(refused)
    expect(() => readCursor(openVault(randomBytes(32)), 'devices q=a', cursor)).toThrow(refused)
  })

  it('is refused when any of its characters is changed, taken away or added', () => {
    for (let i = 0; i < cursor.length; i++) {
      const other = cursor[i] === 'A' ? 'B' : 'A'
      for (const changed of [cursor.slice(0, i) + other + cursor.slice(i + 1), cursor.slice(0, i) + cursor.slice(i + 1)]) {
        expect(() => readCursor(vault, 'devices q=a', changed)).toThrow(refused)
      }
    }
    for (const more of [`${cursor}.`, `${cursor}.x`, `${cursor} `, ` ${cursor}`, `${cursor}=`]) {
      expect(() => readCursor(vault, 'devices q=a', more)).toThrow(refused)
    }
  })

  it('is refused when it is something else', () => {
    for (const text of ['', '.', 'x', 'dev_01', 'ZGV2XzAx.', '.abc', '\0', '💥']) expect(() => readCursor(vault, 'devices', text)).toThrow(refused)
  })

  it('cannot carry a part of its list’s name over to another list', () => {
    const [body = '', signature = ''] = writeCursor(vault, 'devices q=a', 'x').split('.')
    expect(() => readCursor(vault, 'devices', `q=a ${body}.${signature}`)).toThrow(refused)
  })
})

describe('a page', () => {
  const rows = ['a', 'b', 'c']
  const shown = (count: number, limit: number) => page(vault, 'letters', rows.slice(0, count), limit, (row) => row, (row) => row.toUpperCase())

  it('says that there is more when one row more was read, and where to go on', () => {
    const { next_cursor, ...rest } = shown(3, 2)
    expect(rest).toEqual({ data: ['A', 'B'], has_more: true })
    expect(readCursor(vault, 'letters', next_cursor ?? undefined)).toBe('b')
  })

  it.each([[2, 2], [1, 2], [0, 2]])('ends with %i rows of %i', (count, limit) => {
    expect(shown(count, limit)).toEqual({ data: ['A', 'B'].slice(0, count), has_more: false, next_cursor: null })
  })
})
