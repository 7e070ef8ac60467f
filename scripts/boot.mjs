#!/usr/bin/env node
// Makes a clone ready to run: packages installed, server built. Runs before `npm start`, `npm test` and every
// `bramley` command of a clone, so it uses nothing but Node, and does nothing when nothing has changed.
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withLock } from './boot-lock.mjs'
import { buildStamp, filesUnder, installStamp, isInstalled, isNodeNewEnough, readIfThere } from './boot-stamp.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NODE = process.versions.node.split('.').slice(0, 2).join('.')

/** A step that failed; the message is all there is to tell. */
class BootError extends Error {}

/**
 * Brings `root` up to date. `say` gets one line for each step done, `quiet` leaves out the line for "nothing to do".
 */
export async function boot({ root = ROOT, say = console.log, quiet = false } = {}) {
  if (!isNodeNewEnough(process.versions.node))
    throw new BootError(`✘ Node ${NODE} is too old: Bramley needs Node 20.19 or newer`)
  if (isCurrent(root)) {
    if (!quiet) say(`✔ Node ${NODE}, packages and build are up to date`)
    return
  }
  say(`✔ Node ${NODE} (needs 20.19 or newer)`)
  const waiting = (pid) => say(`  waiting for another boot of this folder (process ${pid})`)
  await withLock(join(root, '.boot-lock'), () => bringUp(root, say), waiting)
}

async function bringUp(root, say) {
  const lock = readIfThere(join(root, 'package-lock.json')) ?? ''
  if (readIfThere(join(root, 'node_modules/.boot')) !== installStamp(lock)) await install(root, lock, say)
  const wanted = buildStamp(root)
  if (readIfThere(join(root, 'dist/.boot')) !== wanted) await build(root, wanted, say)
}

function isCurrent(root) {
  const lock = readIfThere(join(root, 'package-lock.json')) ?? ''
  const installed = readIfThere(join(root, 'node_modules/.boot')) === installStamp(lock)
  return installed && readIfThere(join(root, 'dist/.boot')) === buildStamp(root)
}

async function install(root, lock, say) {
  const started = performance.now()
  const before = installed(root)
  const adopted = before !== undefined && isInstalled(JSON.parse(lock), before)
  if (!adopted) await npmCi(root)
  linkOwnCommand(root)
  writeFileSync(join(root, 'node_modules/.boot'), installStamp(lock))
  const count = Object.keys(installed(root)?.packages ?? {}).length
  say(adopted ? `✔ Found ${count} packages installed` : `✔ Installed ${count} packages  ${seconds(started)}`)
}

/** What npm has noted about its last installation. */
function installed(root) {
  const text = readIfThere(join(root, 'node_modules/.package-lock.json'))
  return text === undefined ? undefined : JSON.parse(text)
}

async function npmCi(root) {
  rmSync(join(root, 'node_modules/.boot'), { force: true })
  // NODE_ENV=production would leave out the compiler; the programs of PostgreSQL are an optional package.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--include=dev', '--include=optional']
  const npm = process.env.npm_execpath ?? ''
  const ran = await (npm.endsWith('npm-cli.js') ? run(process.execPath, [npm, ...args], root) : run('npm', args, root))
  if (ran.status !== 0) throw new BootError(`${ran.output}\n✘ npm ci failed; see above`)
}

/** npx and npm scripts look for commands here; npm itself makes no link for the package it installs into. */
function linkOwnCommand(root) {
  const link = join(root, 'node_modules/.bin/bramley')
  mkdirSync(dirname(link), { recursive: true })
  rmSync(link, { force: true })
  symlinkSync(relative(dirname(link), join(root, 'scripts/bramley.mjs')), link)
}

/**
 * Compiles beside `dist` and puts it there when complete, so that nobody runs half a build and no stale file stays.
 */
async function build(root, stamp, say) {
  const started = performance.now()
  const fresh = join(root, '.dist-new')
  const old = join(root, '.dist-old')
  rmSync(fresh, { recursive: true, force: true })
  const tsc = [
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.build.json',
    '--outDir',
    fresh,
    '--incremental',
    'false',
    '--tsBuildInfoFile',
    'null',
  ]
  const compiled = await run(process.execPath, tsc, root)
  if (compiled.status !== 0) {
    rmSync(fresh, { recursive: true, force: true })
    throw new BootError(`${compiled.output}\n✘ The build failed; see above`)
  }
  copyAssets(join(root, 'src'), fresh)
  writeFileSync(join(fresh, '.boot'), stamp)
  rmSync(old, { recursive: true, force: true })
  if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), old)
  renameSync(fresh, join(root, 'dist'))
  rmSync(old, { recursive: true, force: true })
  say(`✔ Built server  ${seconds(started)}`)
}

function copyAssets(from, to) {
  for (const file of filesUnder(from)) {
    if (['.ts', '.tsx', '.md'].includes(extname(file))) continue
    const target = join(to, relative(from, file))
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(file, target)
  }
}

/** Runs a program and keeps what it says. */
function run(command, args, cwd) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', (error) => done({ status: null, output: error.message }))
    child.on('close', (status) => done({ status, output: output.trim() }))
  })
}

function seconds(started) {
  return `${Math.max(1, Math.round((performance.now() - started) / 1000))} s`
}

/** Runs `boot` for a program: a failed step ends it with what the step said. */
export async function bootOrExit(options) {
  try {
    await boot(options)
  } catch (error) {
    if (!(error instanceof BootError)) throw error
    console.error(error.message)
    process.exit(1)
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  await bootOrExit()
