#!/usr/bin/env node
// The command `bramley`. In a clone it first brings packages and build up to date; its words go to stderr, because
// stdout belongs to the command. In an image or an installed package there is no `src`, and nothing to build.
import { existsSync } from 'node:fs'
import { bootOrExit } from './boot.mjs'

if (existsSync(new URL('../src', import.meta.url))) await bootOrExit({ say: console.error, quiet: true })
await import('../dist/cli/main.js')
