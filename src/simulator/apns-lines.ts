import type { Duplex } from 'node:stream'

/** What devices tell the stand-in on `/simulated/listen`: which tokens (hex) came online and which went. */
export type DeviceLine = { listen: string[] } | { leave: string[] }

/** What the stand-in tells devices: which tokens it now serves, serves no more or does not know, and each push. */
export type StandInLine =
  | { listening: string[] }
  | { left: string[] }
  | { refused: string[] }
  | { token: string; mdm: string }

const MAX_LINE_LENGTH = 1024 * 1024

/** Writes one value as a line of JSON. */
export function writeLine(stream: Duplex, line: DeviceLine | StandInLine): void {
  if (stream.writable) stream.write(`${JSON.stringify(line)}\n`)
}

/** Calls `onLine` for every line of JSON; ends the stream when one is too long or is not JSON. */
export function readLines(stream: Duplex, onLine: (line: unknown) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    const values = lines.map(parseLine)
    if (rest.length > MAX_LINE_LENGTH || values.includes(undefined)) stream.destroy()
    else values.forEach(onLine)
  })
}

/** The value of a line or body of JSON; undefined when it is none. */
export function parseLine(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** The strings under `key`, or none when the line is about something else. */
export function stringsUnder(line: unknown, key: string): string[] {
  const value = fieldOf(line, key)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

/** The string under `key`, if there is one. */
export function stringUnder(line: unknown, key: string): string | undefined {
  const value = fieldOf(line, key)
  return typeof value === 'string' ? value : undefined
}

function fieldOf(line: unknown, key: string): unknown {
  return typeof line === 'object' && line !== null ? Object.getOwnPropertyDescriptor(line, key)?.value : undefined
}
