import { CommanderError } from 'commander'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { simulateCommand } from '../../src/cli/simulate.ts'
import { planSimulation, type SimulateOptions } from '../../src/cli/simulate-plan.ts'
import { endOf } from '../../src/cli/simulate-run.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bramley-simulate-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The options as commander reads them; nothing is run. */
function optionsOf(...args: string[]): SimulateOptions {
  const command = simulateCommand().exitOverride().configureOutput({ writeErr: () => undefined })
  command.parseOptions(args)
  return command.opts<SimulateOptions>()
}

describe('the options of bramley simulate', () => {
  it('are few: one iPhone at the server on this machine', () => {
    const { fleet, end } = planSimulation(optionsOf('--link', 'K7Q4-M2XP'))
    expect(fleet)
      .toMatchObject({ url: 'https://localhost:8443', link: 'K7Q4-M2XP', count: 1, kinds: ['iphone'] })
    expect(end).toEqual({})
  })

  it('say what the fleet is, and when the run ends', () => {
    writeFileSync(join(folder, 'ca.pem'), 'server root')
    writeFileSync(join(folder, 'apns.pem'), 'push root')
    const { fleet, end, warnings } = planSimulation(optionsOf(
      '--link', 'x', '--url', 'https://mdm.example.com', '--ca-file', join(folder, 'ca.pem'),
      '--count', '50', '--platform', 'ipad', '--supervised', '--behaviour', 'not-now:2',
      '--apns', '[::1]:2200', '--apns-ca', join(folder, 'apns.pem'), '--until-commands', '3', '--timeout', '2m',
    ))
    expect(fleet).toEqual({
      url: 'https://mdm.example.com', link: 'x', count: 50, kinds: Array.from({ length: 50 }, () => 'ipad'), shiftMs: 60_000,
      supervised: true, behaviour: { notNow: 2 },
      ca: 'server root', apns: { host: '::1', port: 2200, ca: 'push root' },
    })
    expect([end, warnings]).toEqual([{ afterCommands: 3, timeoutMs: 120_000 }, []])
  })

  it('may be several platforms, each with a number of its own or the one of --count', () => {
    const kindsOf = (...args: string[]) => planSimulation(optionsOf('--link', 'x', ...args)).fleet
    expect(kindsOf('--platform', 'iphone:2,mac,shared-ipad:1', '--count', '2'))
      .toMatchObject({ count: 5, kinds: ['iphone', 'iphone', 'mac', 'mac', 'shared-ipad'] })
    expect(kindsOf('--platform', 'appletv')).toMatchObject({ count: 1, kinds: ['appletv'] })
  })

  it('name the platforms there are when one is unknown', () => {
    expect(() => optionsOf('--link', 'x', '--platform', 'watch'))
      .toThrow('It must be one of iphone, ipad, mac, shared-ipad, appletv')
  })

  it('take the whole address of a link, which says where the server is', () => {
    const address = 'https://mdm.example.com:8443/e/9s2KQ4tV7mX1cR8bYp0nZw'
    expect(planSimulation(optionsOf('--link', address)).fleet)
      .toMatchObject({ url: 'https://mdm.example.com:8443', link: '9s2KQ4tV7mX1cR8bYp0nZw' })
    expect(planSimulation(optionsOf('--link', address, '--url', 'https://127.0.0.1')).fleet)
      .toMatchObject({ url: 'https://127.0.0.1' })
  })

  it('name files that must be there', () => {
    expect(() => planSimulation(optionsOf('--link', 'x', '--ca-file', join(folder, 'none.pem'))))
      .toThrow('there is no file')
  })

  it.each([
    ['--count', '0'], ['--count', 'many'], ['--url', 'http://mdm.example.com'], ['--url', 'mdm'],
    ['--apns', '2197'], ['--apns', 'host:0'], ['--behaviour', 'lazy'], ['--for', '30'], ['--for', '30d'],
    ['--until-commands', '-1'], ['--platform', 'watch'], ['--platform', 'mac:0'], ['--platform', 'mac:1:2'], ['--platform', 'mac,'],
  ])('are refused when wrong: %s %s', (...args) => {
    expect(() => optionsOf('--link', 'x', ...args)).toThrow(CommanderError)
  })

  it.each([
    [['--for', '1s', '--until-commands', '1'], 'cannot be used with'],
    [['--for', '1s', '--timeout', '1s'], 'cannot be used with'],
    [['--timeout', '1s'], '--timeout needs --until-commands'],
  ])('are refused when they contradict each other: %j', async (args, reason) => {
    const command = simulateCommand().exitOverride().configureOutput({ writeErr: () => undefined })
    await expect(command.parseAsync(['--link', 'x', ...args], { from: 'user' })).rejects.toThrow(reason)
  })

  it('need a link', async () => {
    const command = simulateCommand().exitOverride().configureOutput({ writeErr: () => undefined })
    await expect(command.parseAsync([], { from: 'user' })).rejects.toThrow('--link')
  })
})

describe('the end of a run', () => {
  const forever = new Promise<void>(() => undefined)
  const done = { executed: async () => undefined }
  const busy = { executed: () => forever }

  it('comes when every device has answered enough', async () => {
    expect(await endOf({ devices: [done, done] }, { afterCommands: 1, timeoutMs: 60_000 }, forever)).toBe(0)
  })

  it('is 7 when one device does not', async () => {
    expect(await endOf({ devices: [done, busy] }, { afterCommands: 1, timeoutMs: 1 }, forever)).toBe(7)
  })

  it('comes after the time that was given', async () => {
    expect(await endOf({ devices: [busy] }, { afterMs: 1 }, forever)).toBe(0)
  })

  it('is the natural one for Ctrl-C, unless another was planned', async () => {
    expect(await endOf({ devices: [busy] }, {}, Promise.resolve())).toBe(0)
    expect(await endOf({ devices: [busy] }, { afterMs: 60_000 }, Promise.resolve())).toBe(130)
    expect(await endOf({ devices: [busy] }, { afterCommands: 1 }, Promise.resolve())).toBe(130)
  })
})
