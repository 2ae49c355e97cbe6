// For tests of replication: what happens between the lines of a scenario.

import assert from 'node:assert/strict'
import type { PartitionLog } from '../log/partition-log.ts'
import { type BatchOptions, RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { leaderEpoch } from '../protocol/records/batch-header.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import type { ReplicaBroker, ReplicaCluster } from './replica-cluster.ts'

const NEVER = Number.POSITIVE_INFINITY

export function recordBatch(value: string, options: BatchOptions = {}): Buffer {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: 1n, value: Buffer.from(value) })
  return builder.build(options)
}

export interface Produced {
  readonly offset: bigint
  /** 'there', or the error's name; undefined while it waits. */
  outcome: string | undefined
}

/** acks=all, in process. Throws KafkaError where it is refused at once. */
export function produce(broker: ReplicaBroker, value: string, options: BatchOptions = {}, acks: -1 | 1 = -1): Produced {
  const partition = broker.partition()!
  const { lastOffset } = partition.append(recordBatch(value, options), { origin: 'client' }, acks)
  const produced: Produced = { offset: lastOffset, outcome: undefined }
  const wait = partition.awaitAcks(acks, lastOffset + 1n, NEVER)
  if (wait === undefined) produced.outcome = 'there'
  wait?.then(
    () => {
      produced.outcome = 'there'
    },
    (error: { code: string }) => {
      produced.outcome = error.code
    },
  )
  return produced
}

/** Lets things happen until `condition` holds. */
export async function until(cluster: ReplicaCluster, what: string, condition: () => boolean, withinMs = 20_000): Promise<void> {
  const { simulation } = cluster
  const deadlineUs = simulation.nowUs + withinMs * 1000
  await simulation.advance(0)
  while (!condition()) {
    if (simulation.nowUs > deadlineUs || !(await simulation.step())) assert.fail(`${what}: not within ${withinMs} ms`)
  }
}

/** The leader's role has arrived at the broker that the controller has elected. */
export async function led(cluster: ReplicaCluster): Promise<ReplicaBroker> {
  const broker = () => cluster.brokers.get(cluster.record().leader)
  await until(cluster, 'a leader', () => broker()?.partition()?.leader?.leaderEpoch === cluster.record().leaderEpoch)
  return broker()!
}

/** All replicas of running brokers have the same end, and the same high watermark. */
export async function settled(cluster: ReplicaCluster): Promise<void> {
  const leader = await led(cluster)
  await until(cluster, 'replicas that agree', () =>
    [...cluster.brokers.values()].every((broker) => {
      if (!cluster.record().replicas.includes(broker.id)) return true
      const partition = broker.partition()
      const { endOffset } = leader.partition()!.log
      return partition?.log.endOffset === endOffset && partition.highWatermark === endOffset
    }),
  )
}

/** `epoch:value` of each record, in order. */
export async function contents(cluster: ReplicaCluster, log: PartitionLog): Promise<string[]> {
  const found: string[] = []
  let next = log.logStartOffset
  while (next < log.endOffset) {
    const read = log.read(next, { maxBytes: 100_000, limitOffset: log.endOffset, atLeastOneBatch: true })
    const { chunks, nextOffset } = await cluster.simulation.settle(Promise.resolve(read))
    for (const chunk of chunks) {
      for (const at of eachBatch(chunk)) {
        for (const { value } of decodeRecords(chunk, at)) found.push(`${leaderEpoch(chunk, at)}:${value?.toString() ?? ''}`)
      }
    }
    next = nextOffset
  }
  return found
}
