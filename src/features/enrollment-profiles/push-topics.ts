import type { Tx } from '../../base/db.ts'

/** What this room asks the push room, handed in by the root. */
export interface PushTopics {
  /** The topic that new enrollments get; undefined while no usable push certificate is held. */
  defaultTopic(tx: Tx): Promise<{ topic: string } | undefined>
}
