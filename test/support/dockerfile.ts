import { readFileSync } from 'node:fs'
import { normalize } from 'node:path'

const text = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')

interface Instruction {
  name: string
  text: string
}

/** The instructions of the Dockerfile, each on one line, by stages; the last one is the image. */
export const stages = text.split('\n').filter((line) => !line.startsWith('#')).join('\n').replaceAll('\\\n', ' ').split('\n')
  .map((line) => /^([A-Z]+)\s+(.*)$/.exec(line.trim())).flatMap((match) => (match ? [{ name: match[1] ?? '', text: match[2] ?? '' }] : []))
  .reduce<Instruction[][]>((all, one) => (one.name === 'FROM' ? [...all, [one]] : [...all.slice(0, -1), [...(all.at(-1) ?? []), one]]), [])

export const image = stages.at(-1) ?? []

/** What stands behind an instruction, each time it is used. */
export function texts(name: string, among = image): string[] {
  return among.filter((one) => one.name === name).map((one) => one.text)
}

/** What stages copy from the clone. */
export function sourcesOf(among: Instruction[]): string[] {
  return texts('COPY', among).filter((one) => !one.startsWith('--from')).flatMap((one) => one.split(/\s+/).slice(0, -1))
}

/** Whether the image has a file of the clone. */
export function isCopied(file: string): boolean {
  return sourcesOf(image).some((source) => normalize(file) === normalize(source) || (source.endsWith('/') && normalize(file).startsWith(source)))
}
