import { readdirSync, readFileSync } from 'node:fs'

const FOLDER = new URL('../../fixtures/apple/samples/', import.meta.url)

/** One sample device message, by folder and file name. */
export function sample(folder: 'valid' | 'hostile', file: string): Buffer {
  return readFileSync(new URL(`${folder}/${file}`, FOLDER))
}

/** The names of all samples of a folder. */
export function sampleNames(folder: 'valid' | 'hostile'): string[] {
  return readdirSync(new URL(folder, FOLDER)).sort()
}
