// Which fetcher follows which leader for which partition: `num.replica.fetchers` of them for each leader, so that partitions that are slow
// to write do not hold up all the others.

import type { Partition } from './partition.ts'
import { type FetcherContext, ReplicaFetcher } from './replica-fetcher.ts'

export class ReplicaFetchers {
  private readonly context: FetcherContext
  private readonly fetchersPerLeader: () => number
  private readonly fetchers = new Map<string, ReplicaFetcher>()
  private readonly byPartition = new Map<Partition, ReplicaFetcher>()

  /** @param fetchersPerLeader num.replica.fetchers, by the latest configuration */
  constructor(context: FetcherContext, fetchersPerLeader: () => number) {
    this.context = context
    this.fetchersPerLeader = fetchersPerLeader
  }

  /** From `leaderId`, in the epoch that the partition is in, and from nobody else any more. */
  follow(partition: Partition, leaderId: number): void {
    const present = this.byPartition.get(partition)
    if (present !== undefined && present.leaderId === leaderId) return present.add(partition)
    present?.remove(partition)
    const fetcher = this.fetcherFor(partition, leaderId)
    this.byPartition.set(partition, fetcher)
    fetcher.add(partition)
  }

  /** There may be more fetchers by now, or fewer: everybody goes to the one that is theirs. */
  spread(): void {
    for (const [partition, present] of this.byPartition) {
      const fetcher = this.fetcherFor(partition, present.leaderId)
      if (fetcher === present) continue
      present.remove(partition)
      this.byPartition.set(partition, fetcher)
      fetcher.add(partition)
    }
  }

  private fetcherFor(partition: Partition, leaderId: number): ReplicaFetcher {
    const key = `${leaderId}/${placeOf(partition) % Math.max(1, this.fetchersPerLeader())}`
    const fetcher = this.fetchers.get(key) ?? new ReplicaFetcher(leaderId, this.context)
    this.fetchers.set(key, fetcher)
    return fetcher
  }

  unfollow(partition: Partition): void {
    this.byPartition.get(partition)?.remove(partition)
    this.byPartition.delete(partition)
  }

  close(): void {
    for (const fetcher of this.fetchers.values()) fetcher.close()
    this.fetchers.clear()
    this.byPartition.clear()
  }
}

function placeOf({ topicId, index }: Partition): number {
  let sum = index
  for (let i = 0; i < topicId.length; i++) sum += topicId.charCodeAt(i)
  return sum
}
