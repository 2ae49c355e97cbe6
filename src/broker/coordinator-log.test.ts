import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leadingPartition } from '../cluster/replication/partition-fixture.ts'
import { isMarker, type LogEntry } from '../coordinators/runtime/ports.ts'
import { LogFixture } from '../log/log-fixture.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { baseSequence, isControl, isTransactional, producerEpoch, producerId } from '../protocol/records/batch-header.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { PartitionCoordinatorLog } from './coordinator-log.ts'

const producer = { producerId: 7n, producerEpoch: 3 }
const other = { producerId: 8n, producerEpoch: 0 }

const record = (key: string, value: string | null = key) => ({
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
})
const commit = (by = producer) => ({ marker: { ...by, result: 'commit' as const, coordinatorEpoch: 5 } })
const abort = (by = producer) => ({ marker: { ...by, result: 'abort' as const, coordinatorEpoch: 5 } })

function over(fixture: LogFixture, log: PartitionLog): PartitionCoordinatorLog {
  return new PartitionCoordinatorLog(leadingPartition(log), fixture.clock, 1_000)
}

async function loaded(log: PartitionCoordinatorLog): Promise<{ entries: LogEntry[]; offsets: bigint[] }> {
  const entries: LogEntry[] = []
  const offsets: bigint[] = []
  await log.load(
    (key, value, offset, _timestamp, producer) => {
      // Buffers are lent for the call only.
      const record = { key: Buffer.from(key), value: value && Buffer.from(value) }
      entries.push(producer === undefined ? record : { ...record, producer })
      offsets.push(offset)
    },
    (marker) => entries.push({ marker }),
  )
  return { entries, offsets }
}

const entries: readonly LogEntry[] = [
  record('a'),
  record('b', null),
  { ...record('c'), producer },
  { ...record('d'), producer },
  { ...record('e'), producer: other },
  record('f'),
  commit(),
  abort(other),
  { ...record('g'), producer },
]

test('records and markers are loaded as they were appended, in order, also after a restart', async () => {
  const fixture = await new LogFixture().open()
  const log = over(fixture, await fixture.log())
  await log.append(entries)
  assert.deepEqual((await loaded(log)).entries, entries)
  const reopened = over(fixture, await fixture.restart())
  const { entries: read, offsets } = await loaded(reopened)
  assert.deepEqual(read, entries)
  // Markers take offsets, too.
  assert.deepEqual(offsets, [0n, 1n, 2n, 3n, 4n, 5n, 8n])
})

test('neighbours of one producer share a batch, a marker is one by itself', async () => {
  const fixture = await new LogFixture().open()
  const partitionLog = await fixture.log()
  await over(fixture, partitionLog).append(entries)
  const { chunks } = await partitionLog.read(0n, { maxBytes: 1 << 20, limitOffset: 100n, atLeastOneBatch: true })
  const batches = chunks.flatMap((chunk) =>
    Array.from(eachBatch(chunk), (at) => [
      isControl(chunk, at) ? 'control' : isTransactional(chunk, at) ? 'transactional' : 'plain',
      producerId(chunk, at),
      producerEpoch(chunk, at),
      baseSequence(chunk, at),
    ]),
  )
  assert.deepEqual(batches, [
    ['plain', -1n, -1, -1],
    ['transactional', 7n, 3, 0],
    ['transactional', 8n, 0, 0],
    ['plain', -1n, -1, -1],
    ['control', 7n, 3, -1],
    ['control', 8n, 0, -1],
    ['transactional', 7n, 3, 0],
  ])
})

test('a log that was cut between two batches loads what is left of it', async () => {
  for (let offset = 0n; offset <= 9n; offset++) {
    const fixture = await new LogFixture().open()
    const partitionLog = await fixture.log()
    const log = over(fixture, partitionLog)
    for (const entry of entries) await log.append([entry])
    await partitionLog.truncateTo(offset)
    const { entries: read } = await loaded(over(fixture, partitionLog))
    assert.deepEqual(read, entries.slice(0, Number(offset)))
    assert.equal(read.filter(isMarker).length, entries.slice(0, Number(offset)).filter(isMarker).length)
  }
})
