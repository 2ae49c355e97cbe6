// Records on their way to the brokers: a queue of batches per partition, and the bound on what all of them hold together.
// No clock, no connections: when to send is the producer's business.

import type { RecordHeader } from '../protocol/records/record.ts'

/** A record as the producer keeps it, bytes only. */
export interface PendingRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
  readonly timestamp: bigint
  readonly size: number
  readonly resolve: (offset: bigint, timestamp: bigint) => void
  readonly reject: (error: Error) => void
}

export class PendingBatch {
  records: PendingRecord[] = []
  /** Bytes before compression, overestimated. */
  size = 0
  readonly createdAtMs: number
  attempts = 0
  /** Not to be sent before, in monotonic time: the pause after a failure. */
  notBeforeMs = 0
  /** -1 until it is sent for the first time. From then on it keeps its numbers, so that the broker knows it again. */
  baseSequence = -1
  producerEpoch = -1
  producerId = -1n
  /** As it goes over the wire, once it has. */
  encoded: Buffer | undefined
  /** Why it is tried again. */
  lastError: Error | undefined
  /** It went out and nobody can say whether it was written. */
  inDoubt = false
  /** Its time was up while it was on its way: its records have been told. */
  expired = false

  constructor(createdAtMs: number) {
    this.createdAtMs = createdAtMs
  }

  add(record: PendingRecord): void {
    this.records.push(record)
    this.size += record.size
  }

  /** Gives the records of this batch to two of half the length, which keep the sequence numbers. */
  split(): [PendingBatch, PendingBatch] {
    const middle = this.records.length >> 1
    const halves: [PendingBatch, PendingBatch] = [new PendingBatch(this.createdAtMs), new PendingBatch(this.createdAtMs)]
    for (const [index, record] of this.records.entries()) halves[index < middle ? 0 : 1].add(record)
    if (this.baseSequence >= 0) {
      for (const [index, half] of halves.entries()) {
        half.producerId = this.producerId
        half.producerEpoch = this.producerEpoch
        half.baseSequence = nextSequence(this.baseSequence, index === 0 ? 0 : middle)
      }
    }
    return halves
  }
}

/** Sequence numbers wrap from the greatest int32 to 0. */
export function nextSequence(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31
}

/** What waits for, and what is on its way to, one partition. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** In the order in which they will be sent; the last may still take records. */
  readonly waiting: PendingBatch[] = []
  /** In the order in which they were sent. */
  readonly inFlight: PendingBatch[] = []
  producerEpoch = 0
  sequence = 0
  /** A batch that had taken sequence numbers is gone for good: what follows must be numbered anew once nothing is in flight. */
  renumber = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Puts a failed batch back where its sequence number says. */
  giveBack(batch: PendingBatch): void {
    if (batch.baseSequence < 0) {
      this.waiting.unshift(batch)
      return
    }
    // Numbers wrap, so what counts is the distance from this one.
    const after = this.waiting.findIndex(
      (other) => other.baseSequence < 0 || nextSequence(other.baseSequence, 2 ** 31 - batch.baseSequence) < 2 ** 30,
    )
    this.waiting.splice(after === -1 ? this.waiting.length : after, 0, batch)
  }
}

/** Sums the bytes of all queues, and lets senders wait for room. */
export class BufferMemory {
  private used = 0
  private readonly limit: number
  private waiters: (() => void)[] = []

  constructor(limit: number) {
    this.limit = limit
  }

  get usedBytes(): number {
    return this.used
  }

  get isFull(): boolean {
    return this.used >= this.limit
  }

  take(bytes: number): void {
    this.used += bytes
  }

  giveBack(bytes: number): void {
    this.used -= bytes
    if (this.isFull) return
    for (const wake of this.waiters.splice(0)) wake()
  }

  /** Resolves when there is room. A single record larger than the limit still fits an empty buffer. */
  async room(): Promise<void> {
    while (this.isFull) await new Promise<void>((resolve) => this.waiters.push(resolve))
  }
}
