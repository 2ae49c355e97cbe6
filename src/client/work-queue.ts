// Records between poll and handler: which may run at the same time, and what of each partition is finished. Records of one lane run
// one after the other, in order; lanes run side by side. No clock, no connections: typed-consumer.ts drives it.

import type { ConsumerRecord } from './fetched-records.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'
import { Progress } from './progress.ts'

/** `partition`: one after the other. `key`: those with the same key are. `none`: as they come. Without a key there is no order but the first. */
export type Order = 'partition' | 'key' | 'none'

export interface WorkQueueOptions {
  /** Calls of `work` under way at a time, over all partitions. */
  readonly concurrency: number
  readonly order: Order
  /** Records of one lane that go into one call. */
  readonly batchSize: number
  /** Done with them when it returns, or what it returns resolves. An error stops the queue: nothing more is started. */
  readonly work: (records: readonly ConsumerRecord[]) => void | Promise<void>
  readonly onError: (error: unknown) => void
  /** Something is finished: there may be room. */
  readonly onFinished: () => void
}

interface Lane {
  readonly name: string
  readonly partition: PartitionWork
  waiting: ConsumerRecord[]
  head: number
  /** A call is under way, or the lane stands in line for one. */
  busy: boolean
}

class PartitionWork implements TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly progress = new Progress()
  readonly lanes = new Map<string, Lane>()
  bytes = 0
  running = 0
  leaderEpoch = -1
  /** Given to others, or sought away from: what waits is not started, and what finishes does not count. */
  dropped = false
  idleWaiters: (() => void)[] = []

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic
    this.partition = partition
  }
}

export class WorkQueue {
  private readonly options: WorkQueueOptions
  private readonly partitions = new Map<string, PartitionWork>()
  private line: Lane[] = []
  private lineHead = 0
  private running = 0
  private stopped = false
  private starting = false
  private loose = 0
  private idleWaiters: (() => void)[] = []

  constructor(options: WorkQueueOptions) {
    this.options = options
  }

  /** In the order of their offsets within each partition. */
  add(records: readonly ConsumerRecord[]): void {
    for (const record of records) {
      const name = partitionKey(record.topic, record.partition)
      let partition = this.partitions.get(name)
      if (partition === undefined) {
        partition = new PartitionWork(record)
        this.partitions.set(name, partition)
      }
      partition.progress.started(record.offset)
      partition.bytes += sizeOf(record)
      const lane = this.laneOf(partition, record)
      lane.waiting.push(record)
      if (!lane.busy) {
        lane.busy = true
        this.line.push(lane)
      }
    }
    this.startSome()
  }

  /** Records and bytes of a partition that are in hand. */
  load({ topic, partition }: TopicPartition): { readonly records: number; readonly bytes: number } {
    const found = this.partitions.get(partitionKey(topic, partition))
    return { records: found?.progress.pending ?? 0, bytes: found?.bytes ?? 0 }
  }

  /** What may be committed of a partition: it passes no unfinished record. Undefined while nothing is finished. */
  passed({ topic, partition }: TopicPartition): { readonly offset: bigint; readonly leaderEpoch: number } | undefined {
    const work = this.partitions.get(partitionKey(topic, partition))
    const offset = work?.progress.passed
    return work === undefined || offset === undefined ? undefined : { offset, leaderEpoch: work.leaderEpoch }
  }

  /** Starts nothing more of these. Resolves when what is under way is finished; `forget` them then. */
  async settle(partitions: readonly TopicPartition[]): Promise<void> {
    const ends = partitions.map(async ({ topic, partition }) => {
      const work = this.partitions.get(partitionKey(topic, partition))
      if (work === undefined) return
      this.drop(work)
      while (work.running > 0) await new Promise<void>((resolve) => work.idleWaiters.push(resolve))
    })
    await Promise.all(ends)
  }

  /** What is under way does not count any more. */
  forget(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const name = partitionKey(topic, partition)
      const work = this.partitions.get(name)
      if (work !== undefined) this.drop(work)
      this.partitions.delete(name)
    }
  }

  /** Starts nothing more. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.stopped = true
    while (this.running > 0) await new Promise<void>((resolve) => this.idleWaiters.push(resolve))
  }

  get isStopped(): boolean {
    return this.stopped
  }

  private laneOf(partition: PartitionWork, record: ConsumerRecord): Lane {
    const { order } = this.options
    let name = ''
    if (order === 'key' && record.key !== null) name = `k${record.key.toString('latin1')}`
    // A lane of its own each: nothing has to wait for it.
    else if (order !== 'partition') name = `r${this.loose++}`
    let lane = partition.lanes.get(name)
    if (lane === undefined) {
      lane = { name, partition, waiting: [], head: 0, busy: false }
      partition.lanes.set(name, lane)
    }
    return lane
  }

  private drop(work: PartitionWork): void {
    work.dropped = true
    work.lanes.clear()
  }

  private startSome(): void {
    // A handler that is synchronous ends up here again: the loop below goes on then.
    if (this.starting) return
    this.starting = true
    try {
      while (!this.stopped && this.running < this.options.concurrency && this.lineHead < this.line.length) {
        const lane = this.line[this.lineHead++]
        if (this.lineHead > 1024 && this.lineHead * 2 > this.line.length) {
          this.line = this.line.slice(this.lineHead)
          this.lineHead = 0
        }
        if (!lane.partition.dropped) this.start(lane)
      }
    } finally {
      this.starting = false
    }
  }

  private start(lane: Lane): void {
    const { partition } = lane
    const records = lane.waiting.slice(lane.head, lane.head + this.options.batchSize)
    lane.head += records.length
    this.running++
    partition.running++
    let done: void | Promise<void>
    try {
      done = this.options.work(records)
    } catch (error) {
      this.failed(partition, error)
      return
    }
    if (done === undefined) this.finished(lane, records)
    else {
      done.then(
        () => {
          this.finished(lane, records)
          this.startSome()
        },
        (error) => this.failed(partition, error),
      )
    }
  }

  private finished(lane: Lane, records: readonly ConsumerRecord[]): void {
    const { partition } = lane
    for (const record of records) {
      partition.progress.finished(record.offset)
      partition.bytes -= sizeOf(record)
      partition.leaderEpoch = record.leaderEpoch
    }
    if (lane.head < lane.waiting.length) {
      if (lane.head > 1024) {
        lane.waiting = lane.waiting.slice(lane.head)
        lane.head = 0
      }
      this.line.push(lane)
    } else {
      lane.waiting = []
      lane.head = 0
      lane.busy = false
      partition.lanes.delete(lane.name)
    }
    this.leave(partition)
    this.options.onFinished()
  }

  private failed(partition: PartitionWork, error: unknown): void {
    this.stopped = true
    this.leave(partition)
    this.options.onError(error)
  }

  private leave(partition: PartitionWork): void {
    this.running--
    partition.running--
    if (partition.running === 0) for (const resolve of partition.idleWaiters.splice(0)) resolve()
    if (this.running === 0) for (const resolve of this.idleWaiters.splice(0)) resolve()
  }
}

function sizeOf({ key, value }: ConsumerRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0)
}
