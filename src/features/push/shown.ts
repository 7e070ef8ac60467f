import type { Tx } from '../../base/db.ts'

/** `stopped`: Apple refuses it. `expires_soon`: less than 30 days are left. */
export const CERTIFICATE_STATES = ['ok', 'expires_soon', 'expired', 'stopped'] as const
type CertificateState = (typeof CERTIFICATE_STATES)[number]

interface Row {
  id: string
  topic: string
  not_before: Date
  not_after: Date
  serial_number: string
  sha256: Buffer
  memo: string | null
  device_count: number
  default_for_new: boolean
  simulated: boolean
  stopped_reason: string | null
  uploaded_at: Date
}

/** Renewing takes a person with Apple's password: 30 days are the first warning (design: 30, 14, 3). */
const SOON_DAYS = 30
const DAY = 86_400_000

/** The whole days until a certificate ends, negative afterwards, and whether they are few. */
export function daysLeft(notAfter: Date, now: Date): { days: number; soon: boolean } {
  const days = Math.floor((notAfter.getTime() - now.getTime()) / DAY)
  return { days, soon: days < SOON_DAYS }
}

const COLUMNS = `p.id, p.topic, p.not_before, p.not_after, p.serial_number, p.sha256, p.memo, p.default_for_new, p.simulated, p.stopped_reason, p.uploaded_at,
  (select count(*)::int from enrollments e where e.topic = p.topic and e.channel = 'device' and e.state = 'enrolled') as device_count`
const LIST = { name: 'push_certificates_list', text: `select ${COLUMNS} from push_certificates p order by p.default_for_new desc, p.id` }
const FIND = { name: 'push_certificates_find', text: `select ${COLUMNS} from push_certificates p where p.id = $1` }

/** Every push certificate, the one for new enrollments first; without its key. */
export async function listShown(tx: Tx, now: Date) {
  return (await tx.rows<Row>(LIST, [])).map((row) => shape(row, now))
}

/** One push certificate as the API shows it. */
export async function findShown(tx: Tx, id: string, now: Date) {
  const [row] = await tx.rows<Row>(FIND, [id])
  return row && shape(row, now)
}

function shape(row: Row, now: Date) {
  return {
    id: row.id,
    topic: row.topic,
    not_before: row.not_before.toISOString(),
    not_after: row.not_after.toISOString(),
    days_left: daysLeft(row.not_after, now).days,
    state: stateOf(row, now),
    serial_number: row.serial_number,
    sha256: row.sha256.toString('hex'),
    apple_account_memo: row.memo,
    device_count: row.device_count,
    default_for_new: row.default_for_new,
    simulated: row.simulated,
    stopped_reason: row.stopped_reason,
    uploaded_at: row.uploaded_at.toISOString(),
  }
}

function stateOf(row: Row, now: Date): CertificateState {
  if (row.not_after <= now) return 'expired'
  if (row.stopped_reason !== null) return 'stopped'
  return daysLeft(row.not_after, now).soon ? 'expires_soon' : 'ok'
}
