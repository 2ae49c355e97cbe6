// The walk must say of any bytes what the cursor says, which is written to be understood.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError } from '../../bytes/reader.ts'
import { seededRandom } from '../../host/random.ts'
import { RecordBatchBuilder } from './batch-builder.ts'
import { BATCH_HEADER_SIZE, baseTimestamp, recordCount } from './batch-header.ts'
import type { RecordInput } from './record.ts'
import { RecordCursor } from './record-cursor.ts'
import { type RecordSummary, walkRecords } from './record-walk.ts'

function batchWith(records: readonly RecordInput[], offsetDeltas: readonly number[] = records.map((_, i) => i)): Buffer {
  const builder = new RecordBatchBuilder()
  for (const [i, record] of records.entries()) builder.append(record, offsetDeltas[i])
  return builder.build()
}

const walk = (batch: Buffer) => walkRecords(batch, BATCH_HEADER_SIZE, batch.length, recordCount(batch))

/** What the walk should find, by the cursor. */
function expected(batch: Buffer): RecordSummary {
  const deltas: bigint[] = []
  let keyless = 0
  let consecutive = true
  const cursor = new RecordCursor(batch)
  for (let i = 0; cursor.next(); i++) {
    deltas.push(BigInt.asIntN(64, cursor.timestamp - baseTimestamp(batch)))
    if (!cursor.hasKey) keyless++
    if (cursor.offsetDelta !== i) consecutive = false
  }
  const numbers = deltas.map(Number)
  return {
    keyless,
    consecutive,
    minTimestampDelta: Math.min(...numbers),
    maxTimestampDelta: Math.max(...numbers),
    exactTimestamps: true,
  }
}

test('the records of a batch are summed up', () => {
  const key = Buffer.from('k')
  const headers = [
    { key: 'a', value: Buffer.from('b') },
    { key: '', value: null },
  ]
  for (const batch of [
    batchWith([{ timestamp: 1000n }]),
    batchWith([
      { timestamp: 1000n, key },
      { timestamp: -1n, value: Buffer.alloc(70_000), headers },
      { timestamp: 5_000_000_000_000n, key: Buffer.alloc(0), value: Buffer.alloc(0) },
    ]),
    batchWith(
      Array.from({ length: 300 }, (_, i) => ({ timestamp: 1000n - BigInt(i), key, value: Buffer.alloc(i) })),
      [...Array(300).keys()].reverse(),
    ),
  ]) {
    assert.deepEqual(walk(batch), expected(batch))
  }
})

test('timestamps that are too far apart for numbers are said to be so', () => {
  for (const far of [2n ** 62n, -(2n ** 62n), 2n ** 55n]) {
    assert.equal(walk(batchWith([{ timestamp: 0n }, { timestamp: far }])).exactTimestamps, false)
  }
  assert.equal(walk(batchWith([{ timestamp: 0n }, { timestamp: 2n ** 47n }])).exactTimestamps, true)
})

test('whatever the bytes are, walk and cursor find the same, or refuse them both', () => {
  const random = seededRandom(7)
  const pick = (limit: number) => random.u32() % limit
  let refused = 0
  for (let round = 0; round < 5000; round++) {
    const batch = batchWith(
      Array.from({ length: 1 + pick(4) }, () => ({
        timestamp: BigInt(pick(100_000)),
        key: pick(2) === 0 ? null : Buffer.alloc(pick(200)),
        value: pick(4) === 0 ? null : Buffer.alloc(pick(200)),
        headers: pick(3) === 0 ? [{ key: 'h', value: pick(2) === 0 ? null : Buffer.alloc(pick(4)) }] : [],
      })),
    )
    for (let i = pick(3); i > 0; i--) batch[BATCH_HEADER_SIZE + pick(batch.length - BATCH_HEADER_SIZE)] = pick(256)
    let wanted: RecordSummary | undefined
    try {
      wanted = expected(batch)
    } catch (error) {
      assert.ok(error instanceof DecodeError)
    }
    if (wanted === undefined) {
      refused++
      assert.throws(() => walk(batch), DecodeError)
    } else {
      const found = walk(batch)
      assert.equal(found.keyless, wanted.keyless)
      assert.equal(found.consecutive, wanted.consecutive)
      if (found.exactTimestamps) assert.deepEqual(found, wanted)
    }
  }
  assert.ok(refused > 300 && refused < 4700, `${refused} refused`)
})

test('a count that the bytes do not bear out is refused', () => {
  const batch = batchWith([{ timestamp: 1n }, { timestamp: 1n }])
  for (const count of [0, 1, 3, 2_000_000_000]) {
    assert.throws(() => walkRecords(batch, BATCH_HEADER_SIZE, batch.length, count), DecodeError)
  }
})

test('nothing is read behind the end, whatever lies there', () => {
  const batch = batchWith([{ timestamp: 1n, key: Buffer.from('key'), value: Buffer.from('value') }])
  for (let end = BATCH_HEADER_SIZE; end < batch.length; end++) {
    assert.throws(() => walkRecords(batch, BATCH_HEADER_SIZE, end, 1), DecodeError)
  }
})
