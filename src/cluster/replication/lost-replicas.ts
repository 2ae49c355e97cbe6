// Tells the controller which replicas of this broker cannot be served any more, and which are there again (AssignReplicasToDirs,
// KIP-858), until it knows: their leadership goes elsewhere meanwhile. Of replicas that are well from the start nothing is told.

import { backoffMs } from '../../client/retry.ts'
import { type Clock, delay } from '../../host/clock.ts'
import type { Random } from '../../host/random.ts'
import type { TopicId } from '../../protocol/ids.ts'

export interface ReplicaPlace {
  readonly topicId: TopicId
  readonly index: number
  /** The id of a log directory, or `LOST_DIRECTORY`. */
  readonly directory: string
}

export interface LostReplicasOptions {
  readonly clock: Clock
  readonly random: Random
  /** Resolves when the controller has taken all of it. */
  readonly send: (places: readonly ReplicaPlace[]) => Promise<void>
}

const BACKOFF = { initialMs: 100, maxMs: 5000 }

export class LostReplicas {
  private readonly options: LostReplicasOptions
  /** What the controller has not heard yet, by topic id and index. What was said last holds. */
  private readonly untold = new Map<string, ReplicaPlace>()
  private telling = false
  private closed = false

  constructor(options: LostReplicasOptions) {
    this.options = options
  }

  tell(place: ReplicaPlace): void {
    const key = `${place.topicId}/${place.index}`
    if (this.untold.get(key)?.directory === place.directory) return
    this.untold.set(key, place)
    if (this.telling || this.closed) return
    this.telling = true
    void this.run()
  }

  close(): void {
    this.closed = true
  }

  private async run(): Promise<void> {
    const { clock, random, send } = this.options
    // A disk fails for all replicas on it in one turn of the loop: they travel together.
    await Promise.resolve()
    for (let attempt = 1; this.untold.size > 0 && !this.closed; attempt++) {
      const told = [...this.untold]
      try {
        await send(told.map(([, place]) => place))
        for (const [key, place] of told) if (this.untold.get(key) === place) this.untold.delete(key)
        attempt = 0
      } catch {
        // No controller for now, or none that knows us yet.
        await delay(clock, backoffMs(BACKOFF, attempt, random))
      }
    }
    this.telling = false
  }
}
