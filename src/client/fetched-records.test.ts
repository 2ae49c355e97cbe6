import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError } from '../bytes/reader.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { type DecodeFetchedOptions, decodeFetched } from './fetched-records.ts'

function batch(baseOffset: bigint, values: readonly string[], producerId = -1n): Buffer {
  const builder = new RecordBatchBuilder()
  for (const value of values) builder.append({ timestamp: 1n, value: Buffer.from(value) })
  return builder.build({
    baseOffset,
    leaderEpoch: 3,
    producerId,
    baseSequence: producerId < 0n ? -1 : 0,
    transactional: producerId >= 0n,
  })
}

function marker(baseOffset: bigint, result: 'commit' | 'abort', producerId: bigint): Buffer {
  return endTransactionMarker({ result, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1n, baseOffset })
}

function decode(bytes: Buffer, options: Partial<DecodeFetchedOptions> = {}) {
  const { records, nextOffset } = decodeFetched(bytes, {
    topic: 't',
    partition: 0,
    fetchOffset: 0n,
    readCommitted: false,
    abortedTransactions: [],
    checkCrcs: true,
    ...options,
  })
  return { values: records.map((record) => record.value?.toString()), nextOffset, records }
}

test('records below the offset that was asked for are dropped: brokers send whole batches', () => {
  const { values, nextOffset } = decode(batch(10n, ['a', 'b', 'c']), { fetchOffset: 11n })
  assert.deepEqual(values, ['b', 'c'])
  assert.equal(nextOffset, 13n)
})

test('a batch that was cut off by the size of the answer is left for the next fetch', () => {
  const second = batch(2n, ['c', 'd'])
  const { values, nextOffset } = decode(Buffer.concat([batch(0n, ['a', 'b']), second.subarray(0, second.length - 1)]))
  assert.deepEqual(values, ['a', 'b'])
  assert.equal(nextOffset, 2n)
})

test('control records are not given out, but their offsets count', () => {
  const { values, nextOffset } = decode(Buffer.concat([batch(0n, ['a'], 5n), marker(1n, 'commit', 5n)]))
  assert.deepEqual(values, ['a'])
  assert.equal(nextOffset, 2n)
})

test('reading committed data leaves out aborted transactions, up to their markers', () => {
  const bytes = Buffer.concat([
    batch(0n, ['aborted'], 5n),
    batch(1n, ['other'], 6n),
    batch(2n, ['plain']),
    marker(3n, 'abort', 5n),
    batch(4n, ['committed'], 5n),
    marker(5n, 'commit', 5n),
    marker(6n, 'commit', 6n),
  ])
  const abortedTransactions = [{ producerId: 5n, firstOffset: 0n }]
  assert.deepEqual(decode(bytes, { readCommitted: true, abortedTransactions }).values, ['other', 'plain', 'committed'])
  assert.deepEqual(decode(bytes).values, ['aborted', 'other', 'plain', 'committed'])
})

test('a record tells its leader epoch and its kind of timestamp', () => {
  const [record] = decode(batch(0n, ['a'])).records
  assert.equal(record.leaderEpoch, 3)
  assert.equal(record.timestampType, 'CreateTime')
})

test('a batch that does not match its checksum is an error', () => {
  const bytes = batch(0n, ['abc'])
  bytes[bytes.length - 1] ^= 1
  assert.throws(() => decode(bytes), DecodeError)
})
