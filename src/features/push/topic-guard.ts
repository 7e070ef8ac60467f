import { Problem } from '../../base/problem.ts'
import type { Work } from '../../base/work.ts'

interface Dependants {
  /** Enrolled devices, those of the simulator left out. */
  enrolled: number
  /** Of these, how many listen on the topic asked about, and how many on another. */
  own: number
  affected: number
  /** The other topics, three at most. */
  topics: string[] | null
}

// Not joined to what we hold: devices that came from another server depend on a topic before its certificate is uploaded.
const DEPENDANTS = {
  name: 'push_dependants',
  text: `select count(*)::int as enrolled, (count(*) filter (where e.topic = $1))::int as own, (count(*) filter (where e.topic <> $1))::int as affected,
      (array_agg(distinct e.topic) filter (where e.topic <> $1))[1:3] as topics
    from enrollments e left join push_certificates p on p.topic = e.topic
    where e.state = 'enrolled' and e.channel = 'device' and not coalesce(p.simulated, false)`,
}

/**
 * Refuses a topic that nobody here listens on while enrolled devices listen on others: none of them could be reached with it.
 * Throws `push_topic_mismatch` with their number.
 */
export async function checkTopic(work: Work, topic: string): Promise<void> {
  const [found] = await work.tx.rows<Dependants>(DEPENDANTS, [topic])
  if (!found || found.own > 0 || found.affected === 0) return
  const detail = `${found.affected} of ${found.enrolled} enrolled devices use ${found.topics?.join(', ')}. The uploaded certificate is for ${topic}.`
  throw new Problem('push_topic_mismatch', detail, {
    errors: [{ pointer: '/certificate', code: 'topic', detail: 'UID differs from the certificate that devices depend on' }],
    extra: { affected_devices: found.affected, confirm: { field: 'keep_both', value: true } },
  })
}
