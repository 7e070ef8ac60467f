import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { readConfig, SETTINGS } from '../../src/config.ts'
import { VERSION } from '../../src/base/version.ts'
import { runBramley } from '../support/process.ts'

describe('the command line', () => {
  it('shows with --help what there is, on stdout', async () => {
    const { code, stdout, stderr } = await runBramley(['--help'])
    expect([code, stderr]).toEqual([0, ''])
    for (const command of ['serve', 'setup', 'simulate', 'plist', 'migrate', 'config', 'healthcheck']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  })

  it('shows every setting as a flag of serve', async () => {
    const { code, stdout } = await runBramley(['serve', '--help'])
    expect(code).toBe(0)
    for (const { name } of SETTINGS) expect(stdout).toContain(`--${name.replace('BRAMLEY_', '').toLowerCase().replaceAll('_', '-')} <value>`)
  })

  it('tells its version', async () => {
    expect(await runBramley(['--version'])).toEqual({ code: 0, stdout: VERSION, stderr: '' })
  })

  it.each([
    ['an unknown command', ['serv'], "error: unknown command 'serv'"],
    ['an unknown flag', ['serve', '--public-ur', 'x'], "error: unknown option '--public-ur'"],
    ['an unknown subcommand', ['config', 'chekc'], "error: unknown command 'chekc'"],
    ['an unknown flag of a subcommand', ['migrate', 'up', '--now'], "error: unknown option '--now'"],
    ['no command at all', [], 'Usage: bramley'],
  ])('ends with 2 for %s, and says so on stderr', async (_what, args, words) => {
    const { code, stdout, stderr } = await runBramley(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr.startsWith(words)).toBe(true)
  })
})

describe('bramley config', () => {
  it('check says that the settings are right', async () => {
    expect(await runBramley(['config', 'check'])).toEqual({ code: 0, stdout: 'the settings are right', stderr: '' })
  })

  it('check ends with 2 and every complaint, one line each', async () => {
    const { code, stdout, stderr } = await runBramley(['config', 'check'], { env: { BRAMLEY_PUBLC_URL: 'x', BRAMLEY_TLS: 'yes', BRAMLEY_PUBLIC_URL: 'http://mdm.example.com' } })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr.split('\n')).toEqual([
      'bramley: BRAMLEY_PUBLC_URL: unknown setting; did you mean BRAMLEY_PUBLIC_URL?',
      'BRAMLEY_PUBLIC_URL: must begin with https:// (phones accept nothing else); http:// is for localhost only',
      'BRAMLEY_TLS: Invalid option: expected one of "self"|"files"|"off"',
    ])
  })

  it('reference prints a settings file that changes nothing, nor when every line of it is in force', async () => {
    const { code, stdout } = await runBramley(['config', 'reference'])
    expect(code).toBe(0)
    const inForce = stdout.replace(/^# ([a-z_]+: ".*")$/gm, '$1')
    expect(inForce.match(/^[a-z]/gm)).toHaveLength(SETTINGS.length - 1)
    const defaults = readConfig({ BRAMLEY_CONFIG: '/dev/null' })
    for (const [name, text] of [['commented', stdout], ['in-force', inForce]] as const) {
      const file = join(inject('runFolder'), `${name}.yaml`)
      writeFileSync(file, text)
      expect(readConfig({ BRAMLEY_CONFIG: file })).toEqual(defaults)
    }
  })
})

describe('bramley migrate, setup', () => {
  it.each([[['migrate', 'status']], [['setup']]])('%j say where no server runs, and make nothing there', async (args) => {
    const dataFolder = mkdtempSync(join(inject('runFolder'), 'data-'))
    const { code, stdout, stderr } = await runBramley(args, { dataFolder })
    expect([code, stdout, readdirSync(dataFolder)]).toEqual([1, '', []])
    expect(stderr).toMatch(/^bramley: no server runs on \S+: start it first \(npm start\)$/)
  })

  it('name the setting when the database of somebody else does not answer', async () => {
    const { code, stderr } = await runBramley(['serve'], { databaseUrl: 'postgres://u:SECRET@127.0.0.1:1/x' })
    expect([code, stderr]).toEqual([1, 'bramley: cannot use the database of BRAMLEY_DATABASE_URL: connect ECONNREFUSED 127.0.0.1:1'])
  })
})
