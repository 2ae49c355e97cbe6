// Who leads a partition of an internal topic coordinates what belongs to it: here leadership becomes coordination, and ends it.

import type { MetadataImage } from '../cluster/metadata-image.ts'

/** A coordinator, by partition of its topic. */
export interface PartitionedCoordinator {
  /** Rejects where the partition's log cannot be read. A load that is overtaken by another, or by `unload`, comes to nothing. */
  load(partition: number, leaderEpoch: number): Promise<void>
  unload(partition: number): void
}

export class CoordinatorLeadership {
  private readonly topic: string
  private readonly nodeId: number
  private readonly coordinator: PartitionedCoordinator
  private readonly failed: (partition: number, error: unknown) => void
  /** Of the partitions that are coordinated here: the leader epoch under which they were taken over. */
  private readonly taken = new Map<number, number>()

  constructor(
    topic: string,
    nodeId: number,
    coordinator: PartitionedCoordinator,
    failed: (partition: number, error: unknown) => void,
  ) {
    this.topic = topic
    this.nodeId = nodeId
    this.coordinator = coordinator
    this.failed = failed
  }

  /**
   * Takes over what this broker leads by now and gives up what it does not. Called when the partitions themselves have followed. Loads
   * in the background: requests are told that it is under way. A new epoch is a new load, even of the same leader: what had been
   * written in the old one may have been lost between the two.
   */
  follow(image: MetadataImage): void {
    const partitions = image.topic(this.topic)?.partitions ?? []
    for (const index of [...this.taken.keys()]) {
      if (partitions[index]?.leader === this.nodeId) continue
      this.taken.delete(index)
      this.coordinator.unload(index)
    }
    for (const [index, { leader, leaderEpoch }] of partitions.entries()) {
      if (leader !== this.nodeId || this.taken.get(index) === leaderEpoch) continue
      this.taken.set(index, leaderEpoch)
      this.coordinator.load(index, leaderEpoch).catch((error) => this.failed(index, error))
    }
  }
}
