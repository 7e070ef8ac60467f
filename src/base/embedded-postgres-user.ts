import { existsSync, readFileSync, statSync } from 'node:fs'

/** Numbers of the user that PostgreSQL runs as when Bramley itself runs as root. */
export interface ServerUser {
  uid: number
  gid: number
}

const NOBODY: ServerUser = { uid: 65_534, gid: 65_534 }

/**
 * The user to run PostgreSQL as, or undefined for "as ourselves". PostgreSQL refuses root, so root lends it another
 * user: the owner of the data where there are some, else `postgres`, else `nobody`. Throws when the data belong to
 * somebody else and we are not root.
 */
export function serverUser(dataFolder: string, ownUid = process.getuid?.() ?? 0): ServerUser | undefined {
  const owner = existsSync(dataFolder) ? statSync(dataFolder) : undefined
  if (ownUid !== 0) {
    if (owner && owner.uid !== ownUid) throw new Error(foreignData(dataFolder, owner.uid))
    return undefined
  }
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  return namedUser('postgres') ?? namedUser('nobody') ?? NOBODY
}

/** The numbers of a user in the text of /etc/passwd; undefined when there is no such user. */
export function namedUser(name: string, passwd = readPasswd()): ServerUser | undefined {
  const fields = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .find((line) => line[0] === name)
  const uid = Number(fields?.[2] ?? Number.NaN)
  const gid = Number(fields?.[3] ?? Number.NaN)
  return uid > 0 && gid >= 0 ? { uid, gid } : undefined
}

function readPasswd(): string {
  return existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8') : ''
}

function foreignData(dataFolder: string, uid: number): string {
  const ways = 'start Bramley as root or as that user, or give the folder to this one (chown -R)'
  return `${dataFolder} belongs to user ${uid}: ${ways}`
}
