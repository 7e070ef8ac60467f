// Makes what the containers share and nobody should have to invent: the password of the database, once, in the folder
// given. The service `secrets` of docker-compose.yml runs it before the others start; the files are for their eyes only.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder, host] = process.argv.slice(2)
if (!folder || !host) {
  console.error('usage: node container-secrets.mjs FOLDER HOST')
  process.exit(2)
}
const password = readOrMake('db_password', () => randomBytes(32).toString('base64url'))
readOrMake('database_url', () => `postgres://bramley:${password}@${host}/bramley`)

/** What the file holds; made when it is not there. Renamed into place: an interrupted start leaves no half password. */
function readOrMake(name, make) {
  const file = join(folder, name)
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const text = make()
  writeFileSync(`${file}.new`, `${text}\n`, { mode: 0o400, flush: true })
  renameSync(`${file}.new`, file)
  return text
}
