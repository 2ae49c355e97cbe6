// A follower's side of an incremental fetch session (KIP-227): the first request names all partitions, the next ones only what has
// changed since.

import type { FetchRequest, FetchResponse } from '../../protocol/messages/01-fetch.ts'

/** One partition as a fetch asks for it. */
export interface WantedPartition {
  readonly topicId: string
  readonly partition: number
  readonly currentLeaderEpoch: number
  readonly fetchOffset: bigint
  readonly lastFetchedEpoch: number
  readonly logStartOffset: bigint
  readonly partitionMaxBytes: number
  /** What the follower knows: it is answered when there is a higher one. */
  readonly highWatermark: bigint
}

type SessionRequest = Pick<FetchRequest, 'sessionId' | 'sessionEpoch'> & {
  readonly topics: { topicId: string; partitions: WantedPartition[] }[]
  readonly forgottenTopicsData: { topicId: string; partitions: number[] }[]
}

const NO_SESSION = 0
/** Asks for a new session. */
const INITIAL_EPOCH = 0
const LAST_EPOCH = 0x7fffffff

export class FetchSessionClient {
  private id = NO_SESSION
  private epoch = INITIAL_EPOCH
  /** What the leader has been told, by topic id and index. */
  private told = new Map<string, WantedPartition>()

  /** What to say of `wanted`, which is all that is wanted now. Until it is answered, or failed, nothing else may be asked. */
  request(wanted: readonly WantedPartition[]): SessionRequest {
    const now = new Map(wanted.map((partition) => [keyOf(partition), partition]))
    const full = this.epoch === INITIAL_EPOCH
    const news = full ? wanted : wanted.filter((partition) => !isSame(this.told.get(keyOf(partition)), partition))
    const gone = full ? [] : [...this.told.values()].filter((partition) => !now.has(keyOf(partition)))
    this.told = now
    return {
      sessionId: this.id,
      sessionEpoch: this.epoch,
      topics: byTopic(news).map(([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData: byTopic(gone).map(([topicId, of]) => ({ topicId, partitions: of.map(({ partition }) => partition) })),
    }
  }

  /** The request was answered without an error of the session. A leader that grants none gets full requests. */
  answered({ sessionId }: FetchResponse): void {
    this.id = sessionId
    if (sessionId === NO_SESSION) this.epoch = INITIAL_EPOCH
    else this.epoch = this.epoch === LAST_EPOCH ? 1 : this.epoch + 1
  }

  /** What was told of a partition did not work: it is told again. */
  retell(topicId: string, partition: number): void {
    const key = `${topicId}/${partition}`
    const told = this.told.get(key)
    // Still in the leader's session, but like nothing that we could want.
    if (told !== undefined) this.told.set(key, { ...told, currentLeaderEpoch: -2 })
  }

  /** Begins anew: nobody knows what the other side has heard. The next request takes the leader's old session away. */
  reset(): void {
    this.epoch = INITIAL_EPOCH
    this.told.clear()
  }

  /** As `reset`, on another connection, to a broker that may have been started again. */
  forget(): void {
    this.reset()
    this.id = NO_SESSION
  }
}

function keyOf({ topicId, partition }: WantedPartition): string {
  return `${topicId}/${partition}`
}

function isSame(told: WantedPartition | undefined, wanted: WantedPartition): boolean {
  return (
    told !== undefined &&
    told.fetchOffset === wanted.fetchOffset &&
    told.currentLeaderEpoch === wanted.currentLeaderEpoch &&
    told.lastFetchedEpoch === wanted.lastFetchedEpoch &&
    told.logStartOffset === wanted.logStartOffset &&
    told.highWatermark === wanted.highWatermark
  )
}

function byTopic(partitions: readonly WantedPartition[]): [string, WantedPartition[]][] {
  const topics = new Map<string, WantedPartition[]>()
  for (const partition of partitions) {
    const known = topics.get(partition.topicId)
    if (known === undefined) topics.set(partition.topicId, [partition])
    else known.push(partition)
  }
  return [...topics]
}
