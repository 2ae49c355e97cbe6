import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DiskError } from '../../host/disk.ts'
import type { LogConfig } from '../../log/log-config.ts'
import { LogFixture } from '../../log/log-fixture.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import { type BatchOptions, RecordBatchBuilder } from '../../protocol/records/batch-builder.ts'
import { endTransactionMarker } from '../../protocol/records/control-record.ts'
import { AppendBudget } from './append-budget.ts'
import { leadingPartition, partitionRecord, replicaContext } from './partition-fixture.ts'

const FROM_CLIENT = { origin: 'client' } as const
const NEVER = Number.POSITIVE_INFINITY

function batch(value = 'value', options: BatchOptions = {}): Buffer {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: 1n, value: Buffer.from(value) })
  return builder.build(options)
}

/** A partition on a disk whose syncs the test lets through. */
async function partitionWith(config: Partial<LogConfig>) {
  const fixture = await new LogFixture(config).open()
  const log = await fixture.log()
  const budget = new AppendBudget(1000)
  return { fixture, log, budget, partition: leadingPartition(log, replicaContext({ budget })) }
}

test('under flush.policy=group acks=all and consumers wait for the disk, acks=1 does not', async () => {
  const { fixture, partition } = await partitionWith({ flushPolicy: 'group' })
  fixture.onDiskCall = (operation) => {
    if (operation === 'sync') throw new DiskError('EIO', '/data', 'the disk is gone')
  }
  const { lastOffset } = partition.append(batch(), FROM_CLIENT)
  const all = partition.awaitAcks(-1, lastOffset + 1n, NEVER)
  await partition.awaitAcks(1, lastOffset + 1n, NEVER)
  assert.equal(partition.highWatermark, 0n)
  await assert.rejects(all!, { code: 'KAFKA_STORAGE_ERROR' })
  assert.equal(partition.highWatermark, 0n)
})

test('under flush.policy=os consumers see what is written', async () => {
  const { partition } = await partitionWith({ flushPolicy: 'os' })
  const { lastOffset } = partition.append(batch(), FROM_CLIENT)
  await partition.awaitAcks(-1, lastOffset + 1n, NEVER)
  assert.equal(partition.highWatermark, 1n)
  assert.equal(partition.awaitAcks(-1, 1n, NEVER), undefined)
})

test('parked fetches are woken when the high watermark moves', async () => {
  const { partition } = await partitionWith({})
  let wakes = 0
  partition.fetchers.add(() => wakes++)
  const { lastOffset } = partition.append(batch(), FROM_CLIENT)
  assert.equal(wakes, 0)
  await partition.awaitAcks(-1, lastOffset + 1n, NEVER)
  assert.equal(wakes, 1)
})

test('the last stable offset moves with the high watermark, and with the marker that passes it', async () => {
  const { partition } = await partitionWith({})
  const stableWhenWoken: bigint[] = []
  partition.fetchers.add(() => stableWhenWoken.push(partition.lastStableOffset))
  const committed = async (records: Buffer, origin: 'client' | 'coordinator') => {
    const { lastOffset } = partition.append(records, { origin })
    await partition.awaitAcks(-1, lastOffset + 1n, NEVER)
  }
  const producer = { producerId: 1n, producerEpoch: 0 }
  await committed(batch(), 'client')
  await committed(batch('in a transaction', { ...producer, baseSequence: 0, transactional: true }), 'client')
  await committed(batch(), 'client')
  assert.deepEqual([partition.highWatermark, partition.lastStableOffset], [3n, 1n])
  await committed(endTransactionMarker({ ...producer, result: 'commit', coordinatorEpoch: 0, timestamp: 1n }), 'coordinator')
  assert.deepEqual(stableWhenWoken, [1n, 1n, 1n, 4n])
})

test('what was asked about in one leadership is not written in the next', async () => {
  const { log, partition } = await partitionWith({})
  const verification = log.verifications.begin(1n, 0, 0)
  assert.equal(partition.becomeFollower(partitionRecord({ leaderEpoch: 1 })), true)
  assert.equal(await partition.becomeLeader(partitionRecord({ leaderEpoch: 2 })), true)
  const written = batch('late', { producerId: 1n, producerEpoch: 0, baseSequence: 0, transactional: true })
  assert.throws(() => partition.append(Buffer.from(written), { ...FROM_CLIENT, verification }), { code: 'INVALID_TXN_STATE' })
  partition.append(written, { ...FROM_CLIENT, verification: log.verifications.begin(1n, 0, 0) })
})

test('what waits for the disk counts against the budget until it is written', async () => {
  const { partition, budget } = await partitionWith({})
  const { lastOffset } = partition.append(batch('x'.repeat(2000)), FROM_CLIENT)
  assert.equal(budget.open, false)
  let proceeded = false
  budget.whenOpen(() => {
    proceeded = true
  })
  await partition.awaitAcks(1, lastOffset + 1n, NEVER)
  assert.equal(budget.open, true)
  assert.equal(proceeded, true)
})

test('a closed partition refuses whoever waits and whoever comes', async () => {
  const { partition } = await partitionWith({})
  const { lastOffset } = partition.append(batch(), FROM_CLIENT)
  const wait = partition.awaitAcks(-1, lastOffset + 1n, NEVER)
  partition.close(new KafkaError('NOT_LEADER_OR_FOLLOWER'))
  await assert.rejects(wait!, { code: 'NOT_LEADER_OR_FOLLOWER' })
  assert.throws(() => partition.append(batch(), FROM_CLIENT))
})

test('an older leader epoch is fenced, a newer one is unknown, -1 is not checked', async () => {
  const { fixture } = await partitionWith({})
  const partition = leadingPartition(await fixture.log(), replicaContext(), 5)
  partition.checkLeaderEpoch(5)
  partition.checkLeaderEpoch(-1)
  assert.throws(() => partition.checkLeaderEpoch(4), { code: 'FENCED_LEADER_EPOCH' })
  assert.throws(() => partition.checkLeaderEpoch(6), { code: 'UNKNOWN_LEADER_EPOCH' })
})
