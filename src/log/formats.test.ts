// Files small enough to be checked on their own: producer snapshots, leader epochs, checkpoints, indexes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../bytes/crc32c.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint-file.ts'
import {
  deletedLogDirectoryName,
  isDeletedLogDirectory,
  parseLogDirectoryName,
  parseSegmentFileName,
  segmentFileName,
} from './file-names.ts'
import { FilePool } from './file-pool.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import { batchOf } from './log-fixture.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts'
import { ProducerState } from './producer-state.ts'
import { offsetIndexLayout, SparseIndex, timeIndexLayout } from './sparse-index.ts'

function stateOf(batches: number): ProducerState {
  const state = new ProducerState()
  for (let i = 0; i < batches; i++) {
    state.update(batchOf(2, { producerId: 7n, producerEpoch: 3, baseSequence: i * 2, baseOffset: BigInt(i * 2) }), 0, 5)
  }
  return state
}

test('a producer snapshot says what Kafka reads from it: of each producer the last entry counts', () => {
  const bytes = encodeProducerSnapshot(stateOf(7))
  assert.equal(bytes.readInt16BE(0), 1)
  assert.equal(bytes.readUInt32BE(2), crc32c(bytes.subarray(6)))
  assert.equal(bytes.readInt32BE(6), 5)
  const last = bytes.subarray(bytes.length - 46)
  const fields = [
    last.readBigInt64BE(0),
    last.readInt16BE(8),
    last.readInt32BE(10),
    last.readBigInt64BE(14),
    last.readInt32BE(22),
  ]
  assert.deepEqual(fields, [7n, 3, 13, 13n, 1])
})

test('a producer snapshot comes back as it was, and a damaged one is refused', () => {
  const state = stateOf(7)
  const bytes = encodeProducerSnapshot(state)
  assert.deepEqual([...decodeProducerSnapshot(bytes, 5)], [...state])
  for (const at of [0, 3, 9, bytes.length - 1]) {
    const damaged = Buffer.from(bytes)
    damaged[at] ^= 1
    assert.throws(() => decodeProducerSnapshot(damaged, 5))
  }
  assert.throws(() => decodeProducerSnapshot(bytes.subarray(0, 20), 5))
  assert.throws(() => decodeProducerSnapshot(Buffer.alloc(0), 5))
})

test('a producer id that only ended a transaction has no batches, and says so in the snapshot', () => {
  const entry = { epoch: 2, batches: [], coordinatorEpoch: 9, transactionFirstOffset: -1n, lastTimestamp: 3n, lastSeenMs: 5 }
  const state = new ProducerState(new Map([[4n, entry]]))
  assert.deepEqual([...decodeProducerSnapshot(encodeProducerSnapshot(state), 5)], [...state])
})

test('leader epochs answer where each of them ended', () => {
  const epochs = new LeaderEpochs()
  for (const [epoch, start] of [
    [1, 0n],
    [2, 10n],
    [5, 20n],
  ] as const)
    assert.equal(epochs.assign(epoch, start), true)
  assert.equal(epochs.assign(5, 25n), false)
  assert.equal(epochs.assign(-1, 25n), false)
  const ends = [0, 1, 2, 3, 4, 5, 6].map((epoch) => epochs.endOffsetFor(epoch, 30n))
  assert.deepEqual(ends, [
    { epoch: 0, endOffset: 0n },
    { epoch: 1, endOffset: 10n },
    { epoch: 2, endOffset: 20n },
    { epoch: 2, endOffset: 20n },
    { epoch: 2, endOffset: 20n },
    { epoch: 5, endOffset: 30n },
    undefined,
  ])
  assert.deepEqual(
    [0n, 9n, 10n, 99n].map((offset) => epochs.epochOf(offset)),
    [1, 1, 2, 5],
  )
})

test('an epoch in which nothing was written gives way to the next', () => {
  const epochs = new LeaderEpochs()
  epochs.assign(1, 0n)
  epochs.assign(2, 10n)
  epochs.assign(3, 10n)
  assert.equal(epochs.encode().toString(), '0\n2\n1 0\n3 10\n')
  assert.equal(LeaderEpochs.decode('x', epochs.encode()).encode().toString(), '0\n2\n1 0\n3 10\n')
})

test('leader epochs follow the log when its ends move', () => {
  const make = () => LeaderEpochs.decode('x', Buffer.from('0\n3\n1 0\n2 10\n5 20\n'))
  const fromEnd = make()
  assert.equal(fromEnd.truncateFromEnd(20n), true)
  assert.equal(fromEnd.truncateFromEnd(15n), false)
  assert.equal(fromEnd.latest, 2)
  const fromStart = make()
  assert.equal(fromStart.truncateFromStart(12n), true)
  assert.equal(fromStart.encode().toString(), '0\n2\n2 12\n5 20\n')
  assert.equal(fromStart.truncateFromStart(12n), false)
})

test('a checkpoint that is not what it says is refused with the reason', () => {
  const decode = (text: string) => decodeCheckpoint('file', Buffer.from(text), 3)
  assert.deepEqual(decode(encodeCheckpoint(['a.b-c 3 77', 'd 0 -1']).toString()), [
    ['a.b-c', '3', '77'],
    ['d', '0', '-1'],
  ])
  assert.throws(() => decode('1\n0\n'), /version/)
  assert.throws(() => decode('0\n2\na 1 1\n'), /1 entries where it says 2/)
  assert.throws(() => decode('0\n1\na 1\n'), /malformed/)
  assert.throws(() => decode('0\n1\na 1 x\n'), /malformed/)
  assert.throws(() => decode(''), /version/)
})

test('names of logs and segments are taken apart as they were put together', () => {
  assert.deepEqual(parseLogDirectoryName('a-b.c_1-12'), { topic: 'a-b.c_1', partition: 12 })
  for (const name of ['plain', 'a-', '-1', 'a-1x', 'a-99999999999']) assert.equal(parseLogDirectoryName(name), undefined)
  assert.deepEqual(parseSegmentFileName(segmentFileName(2n ** 63n - 1n, '.log')), { baseOffset: 2n ** 63n - 1n, suffix: '.log' })
  assert.equal(parseSegmentFileName('00000000000000000000.log.deleted'), undefined)
  const deleted = deletedLogDirectoryName(`${'x'.repeat(249)}-1000000`, '0123456789abcdef0123456789abcdef')
  assert.equal(deleted.length, 255)
  assert.equal(isDeletedLogDirectory(deleted), true)
  assert.equal(isDeletedLogDirectory('some-delete'), false)
})

test('an index finds the last entry at or below a key, in the file, in memory, and over both', async () => {
  const pool = new FilePool(new MemoryDisk(), 4)
  const index = new SparseIndex(pool, '/i.index', offsetIndexLayout, 0)
  assert.equal(await index.floor(5), undefined)
  for (let i = 0; i < 5000; i++) {
    index.add(i * 10, i * 100)
    if (i === 1000 || i === 4000) await index.save()
  }
  for (const i of [0, 1, 511, 512, 1000, 1001, 3999, 4000, 4001, 4999]) {
    for (const key of [i * 10, i * 10 + 9]) assert.deepEqual(await index.floor(key), { key: i * 10, value: i * 100 })
  }
  assert.equal(await index.floor(-1), undefined)
  assert.deepEqual(await index.last(), { key: 49_990, value: 499_900 })
  await index.keep(4500)
  assert.deepEqual(await index.last(), { key: 44_990, value: 449_900 })
  await index.keep(2000)
  index.add(100_000, 7)
  assert.deepEqual(await index.floor(99_999), { key: 19_990, value: 199_900 })
  assert.deepEqual(await index.last(), { key: 100_000, value: 7 })
  await index.sync()
  const reopened = new SparseIndex(pool, '/i.index', offsetIndexLayout, 2001)
  assert.deepEqual(await reopened.last(), { key: 100_000, value: 7 })
})

test('a time index takes all of an int64', async () => {
  const index = new SparseIndex(new FilePool(new MemoryDisk(), 4), '/i.timeindex', timeIndexLayout, 0)
  index.add(5n, 1)
  index.add(2n ** 63n - 1n, 2)
  await index.save()
  assert.deepEqual(await index.floor(2n ** 63n - 2n), { key: 5n, value: 1 })
  assert.deepEqual(await index.last(), { key: 2n ** 63n - 1n, value: 2 })
})
