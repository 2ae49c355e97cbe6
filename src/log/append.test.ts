// What may be appended, what becomes of it, and how a producer is told.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CompressionCodec, compress } from '../bytes/compression/codecs.ts'
import { type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import {
  BATCH_HEADER_SIZE,
  baseOffset,
  codecId,
  computedCrc,
  isLogAppendTime,
  leaderEpoch,
  maxTimestamp,
  storedCrc,
} from '../protocol/records/batch-header.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import type { LogConfig } from './log-config.ts'
import { batchOf, batchWith, FROM_CLIENT, LogFixture, readAll } from './log-fixture.ts'
import { defaultLogTuning } from './log-tuning.ts'
import type { PartitionLog } from './partition-log.ts'

async function logWith(config: Partial<LogConfig> = {}): Promise<PartitionLog> {
  return (await new LogFixture(config).open()).log()
}

const refusedAs = (code: ErrorName) => (error: unknown) => error instanceof KafkaError && error.code === code

/** Writes into a batch and mends its checksum. */
function changed(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  change(batch)
  batch.writeUInt32BE(computedCrc(batch), 17)
  return batch
}

describe('a produced batch', () => {
  test('is given the next offsets and the leader epoch, outside its checksum', async () => {
    const log = await logWith()
    const options = { origin: 'client', leaderEpoch: 7 } as const
    assert.deepEqual(log.append(batchOf(3), options), { firstOffset: 0n, lastOffset: 2n, logAppendTimeMs: -1n, duplicate: false })
    assert.deepEqual(log.append(batchOf(2), options), { firstOffset: 3n, lastOffset: 4n, logAppendTimeMs: -1n, duplicate: false })
    const [, second] = await readAll(log)
    assert.equal(baseOffset(second), 3n)
    assert.equal(leaderEpoch(second), 7)
    assert.equal(computedCrc(second), storedCrc(second))
  })

  const refusals: [string, ErrorName, (batch: Buffer) => Buffer][] = [
    ['of message format v1', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeInt8(1, 16))],
    ['whose magic byte names no format', 'CORRUPT_MESSAGE', (batch) => changed(batch, (b) => b.writeInt8(9, 16))],
    ['whose checksum does not match', 'CORRUPT_MESSAGE', (batch) => batch.fill(1, 70, 71)],
    ['with another behind it', 'INVALID_RECORD', (batch) => Buffer.concat([batch, batch])],
    ['that is cut short', 'INVALID_RECORD', (batch) => batch.subarray(0, batch.length - 1)],
    ['that is empty', 'INVALID_RECORD', () => Buffer.alloc(0)],
    ['that claims an offset', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeBigInt64BE(5n, 0))],
    ['with fewer records than offsets', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeInt32BE(9, 23))],
    ['without records', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeInt32BE(0, 57))],
    ['that pretends to be a control batch', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeInt16BE(0x20, 21))],
    ['that sets the log append time', 'INVALID_TIMESTAMP', (batch) => changed(batch, (b) => b.writeInt16BE(0x08, 21))],
    ['that sets the delete horizon', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeInt16BE(0x40, 21))],
    ['with a producer id and no sequence', 'INVALID_RECORD', (batch) => changed(batch, (b) => b.writeBigInt64BE(4n, 43))],
    ['of an unknown codec', 'UNSUPPORTED_COMPRESSION_TYPE', (batch) => changed(batch, (b) => b.writeInt16BE(6, 21))],
  ]
  for (const [what, code, spoil] of refusals) {
    test(`${what} is refused with ${code}, and nothing is appended`, async () => {
      const log = await logWith()
      assert.throws(() => log.append(spoil(batchOf(2)), FROM_CLIENT), refusedAs(code))
      assert.equal(log.endOffset, 0n)
    })
  }

  test('larger than max.message.bytes is refused, header and all counted', async () => {
    const batch = batchOf(3)
    const exact = await logWith({ maxMessageBytes: batch.length })
    exact.append(batch, FROM_CLIENT)
    const smaller = await logWith({ maxMessageBytes: batch.length - 1 })
    assert.throws(() => smaller.append(batchOf(3), FROM_CLIENT), refusedAs('MESSAGE_TOO_LARGE'))
  })

  test('larger than a segment is refused with RECORD_LIST_TOO_LARGE', async () => {
    const log = await logWith({ segmentBytes: 200 })
    assert.throws(() => log.append(batchOf(3), FROM_CLIENT), refusedAs('RECORD_LIST_TOO_LARGE'))
  })

  test('without a producer id may carry any sequence: kafkajs sends id -1 with epoch and sequence 0', async () => {
    const log = await logWith()
    const kafkajs = () => batchOf(1, { producerId: -1n, producerEpoch: 0, baseSequence: 0 })
    log.append(kafkajs(), FROM_CLIENT)
    assert.equal(log.append(kafkajs(), FROM_CLIENT).duplicate, false)
  })
})

describe('timestamps', () => {
  const now = 1_750_000_000_000n

  test('ahead of message.timestamp.after.max.ms, or behind before.max.ms, are refused with INVALID_TIMESTAMP', async () => {
    const log = await logWith({ messageTimestampAfterMaxMs: 1000, messageTimestampBeforeMaxMs: 5000 })
    log.append(batchOf(1, { timestamp: now + 1000n }), FROM_CLIENT)
    log.append(batchOf(1, { timestamp: now - 5000n }), FROM_CLIENT)
    assert.throws(() => log.append(batchOf(1, { timestamp: now + 1001n }), FROM_CLIENT), refusedAs('INVALID_TIMESTAMP'))
    assert.throws(
      () => log.append(batchWith([{ timestamp: now }, { timestamp: now - 5001n }, { timestamp: now }]), FROM_CLIENT),
      (error) => refusedAs('INVALID_TIMESTAMP')(error) && (error as KafkaError).recordErrors[0].batchIndex === 1,
    )
  })

  test('of -1 are accepted', async () => {
    const log = await logWith({ messageTimestampBeforeMaxMs: 5000 })
    assert.equal(log.append(batchOf(1, { timestamp: -1n }), FROM_CLIENT).lastOffset, 0n)
  })

  test('give way to the time of the append where the topic says so', async () => {
    const log = await logWith({ messageTimestampType: 'LogAppendTime' })
    const result = log.append(batchOf(2, { timestamp: 1n }), FROM_CLIENT)
    assert.equal(result.logAppendTimeMs, now)
    const [batch] = await readAll(log)
    assert.equal(isLogAppendTime(batch), true)
    assert.equal(maxTimestamp(batch), now)
    assert.equal(computedCrc(batch), storedCrc(batch))
    assert.deepEqual(
      [...decodeRecords(batch)].map(({ timestamp }) => timestamp),
      [now, now],
    )
  })
})

describe('the records of a produced batch', () => {
  const codecs = Object.keys(CompressionCodec) as (keyof typeof CompressionCodec)[]
  const key = Buffer.from('k')

  /** A sound header and checksum over whatever bytes. */
  const withRecords = (records: Buffer, codec: number, count = 1): Buffer => {
    const model = batchOf(1)
    const batch = Buffer.concat([model.subarray(0, BATCH_HEADER_SIZE), compress(codec, records)])
    return changed(batch, (b) => {
      b.writeInt32BE(b.length - 12, 8)
      b.writeInt16BE(codec, 21)
      b.writeInt32BE(count - 1, 23)
      b.writeInt32BE(count, 57)
    })
  }

  for (const name of codecs) {
    const codec = CompressionCodec[name]
    test(`(${name}) must be records, as many as the header says, or the batch is refused with INVALID_RECORD`, async () => {
      const log = await logWith()
      const records = batchOf(2).subarray(BATCH_HEADER_SIZE)
      const append = (bytes: Buffer, count?: number) => log.append(withRecords(bytes, codec, count), FROM_CLIENT)
      assert.throws(() => append(Buffer.alloc(100, 0xff)), refusedAs('INVALID_RECORD'))
      assert.throws(() => append(records, 1), refusedAs('INVALID_RECORD'))
      assert.throws(() => append(records, 3), refusedAs('INVALID_RECORD'))
      assert.throws(() => append(records.subarray(0, -1), 2), refusedAs('INVALID_RECORD'))
      assert.equal(append(records, 2).lastOffset, 1n)
      assert.equal(log.endOffset, 2n)
    })

    test(`(${name}) are numbered anew where their producer has numbered them wrongly`, async () => {
      const log = await logWith()
      const builder = new RecordBatchBuilder()
      for (const value of ['a', 'b', 'c']) builder.append({ timestamp: 1n, value: Buffer.from(value) }, 0)
      const batch = changed(builder.build({ codecId: codec }), (b) => b.writeInt32BE(2, 23))
      log.append(batch, FROM_CLIENT)
      const [stored] = await readAll(log)
      assert.equal(codecId(stored), codec)
      assert.deepEqual(
        [...decodeRecords(stored)].map(({ offset, value }) => `${offset}${value}`),
        ['0a', '1b', '2c'],
      )
    })
  }

  test('that do not decompress are refused', async () => {
    const log = await logWith()
    for (const codec of [1, 2, 3, 4]) {
      const batch = changed(withRecords(Buffer.alloc(100, 0xff), 0), (b) => b.writeInt16BE(codec, 21))
      assert.throws(() => log.append(batch, FROM_CLIENT), refusedAs('INVALID_RECORD'))
    }
  })

  test('tell the newest time themselves, whatever the header claims', async () => {
    const log = await logWith()
    const records = [5n, 900n, -1n, 7n].map((timestamp) => ({ timestamp, key }))
    for (const claimed of [900n, 1n, -1n, 2n ** 40n]) {
      log.append(
        changed(batchWith(records), (b) => b.writeBigInt64BE(claimed, 35)),
        FROM_CLIENT,
      )
    }
    const batches = await readAll(log)
    assert.deepEqual(
      batches.map((batch) => maxTimestamp(batch)),
      [900n, 900n, 900n, 900n],
    )
    assert.ok(batches.every((batch) => computedCrc(batch) === storedCrc(batch)))
    const future = changed(batchWith([{ timestamp: 2n ** 60n, key }]), (b) => b.writeBigInt64BE(1n, 35))
    assert.throws(() => log.append(future, FROM_CLIENT), refusedAs('INVALID_TIMESTAMP'))
  })

  test('of one request may not decompress to more than its allowance, over all its batches', async () => {
    const log = await logWith()
    const batch = batchOf(100, { codecId: CompressionCodec.zstd })
    const plain = batchOf(100).length - BATCH_HEADER_SIZE
    const allowance = { bytes: 2 * plain }
    for (let i = 0; i < 2; i++) log.append(batch, { ...FROM_CLIENT, allowance })
    assert.equal(allowance.bytes, 0)
    assert.throws(() => log.append(batch, { ...FROM_CLIENT, allowance }), refusedAs('INVALID_RECORD'))
    log.append(batchOf(100), { ...FROM_CLIENT, allowance })
  })

  test('that are to blame are named, but not without end', async () => {
    const log = await logWith({ compacts: true })
    const keyless = batchWith(Array.from({ length: 5000 }, () => ({ timestamp: 1n })))
    assert.throws(
      () => log.append(keyless, FROM_CLIENT),
      (error) => (error as KafkaError).recordErrors.length === 1000,
    )
  })
})

test('a record without a key is refused by a compacted topic, by its place in the batch', async () => {
  const log = await logWith({ compacts: true })
  const key = Buffer.from('k')
  log.append(batchWith([{ timestamp: 1n, key }]), FROM_CLIENT)
  assert.throws(
    () =>
      log.append(batchWith([{ timestamp: 1n, key }, { timestamp: 1n }, { timestamp: 1n, key }, { timestamp: 1n }]), FROM_CLIENT),
    (error) => {
      assert.ok(refusedAs('INVALID_RECORD')(error))
      assert.deepEqual(
        (error as KafkaError).recordErrors.map(({ batchIndex }) => batchIndex),
        [1, 3],
      )
      return true
    },
  )
})

test('a topic with a codec of its own recompresses what comes in another, and only that', async () => {
  const log = await logWith({ compressionType: 'gzip' })
  log.append(batchOf(5), FROM_CLIENT)
  log.append(batchOf(5, { codecId: CompressionCodec.gzip }), FROM_CLIENT)
  const batches = await readAll(log)
  assert.deepEqual(
    batches.map((batch) => codecId(batch)),
    [CompressionCodec.gzip, CompressionCodec.gzip],
  )
  assert.deepEqual(
    [...decodeRecords(batches[0])].map(({ key }) => key?.toString()),
    ['key-0', 'key-1', 'key-2', 'key-3', 'key-4'],
  )
  const sizeAt = async (config: Partial<LogConfig>) => {
    const records = Array.from({ length: 500 }, (_, i) => ({
      timestamp: 1n,
      value: Buffer.from(`${i * 7919} ${(i * i) % 1009}`),
    }))
    const log = await logWith(config)
    log.append(batchWith(records), FROM_CLIENT)
    return (await readAll(log, 0n, 100_000))[0].length
  }
  const gzip = (compressionGzipLevel: number) => sizeAt({ compressionType: 'gzip', compressionGzipLevel })
  assert.ok((await gzip(1)) > (await gzip(9)))
  const zstd = (compressionZstdLevel: number) => sizeAt({ compressionType: 'zstd', compressionZstdLevel })
  assert.ok((await zstd(-5)) > (await zstd(19)))
  const plain = await logWith({ compressionType: 'uncompressed' })
  plain.append(batchOf(5, { codecId: CompressionCodec.gzip }), FROM_CLIENT)
  assert.equal(codecId((await readAll(plain))[0]), CompressionCodec.none)
})

describe('idempotence', () => {
  const produced = (baseSequence: number, count = 1, producerEpoch = 0) =>
    batchOf(count, { producerId: 9n, producerEpoch, baseSequence })

  test('a repetition of any of the last five batches gets its first offsets, and is not appended', async () => {
    const log = await logWith()
    for (let i = 0; i < 6; i++) log.append(produced(i * 2, 2), FROM_CLIENT)
    for (let i = 1; i < 6; i++) {
      const { firstOffset, lastOffset, duplicate } = log.append(produced(i * 2, 2), FROM_CLIENT)
      assert.deepEqual([firstOffset, lastOffset, duplicate], [BigInt(i * 2), BigInt(i * 2 + 1), true])
    }
    assert.equal(log.endOffset, 12n)
    assert.throws(() => log.append(produced(0, 2), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
  })

  test('a gap is refused, and so is part of an earlier batch', async () => {
    const log = await logWith()
    log.append(produced(0, 3), FROM_CLIENT)
    assert.throws(() => log.append(produced(4), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    assert.throws(() => log.append(produced(1, 2), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    assert.equal(log.append(produced(3), FROM_CLIENT).firstOffset, 3n)
  })

  test('a lower epoch is refused with INVALID_PRODUCER_EPOCH, a higher one begins at sequence 0', async () => {
    const log = await logWith()
    log.append(produced(0, 1, 4), FROM_CLIENT)
    assert.throws(() => log.append(produced(1, 1, 3), FROM_CLIENT), refusedAs('INVALID_PRODUCER_EPOCH'))
    assert.throws(() => log.append(produced(1, 1, 5), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    assert.equal(log.append(produced(0, 1, 5), FROM_CLIENT).duplicate, false)
  })

  test('sequence numbers go on at 0 after 2147483647, also within a batch', async () => {
    const log = await logWith()
    log.append(produced(2147483645, 2), FROM_CLIENT)
    log.append(produced(2147483647, 3), FROM_CLIENT)
    assert.equal(log.append(produced(2), FROM_CLIENT).firstOffset, 5n)
    assert.equal(log.append(produced(2147483647, 3), FROM_CLIENT).duplicate, true)
  })

  test('a producer that nothing is known of may begin anywhere', async () => {
    const log = await logWith()
    assert.equal(log.append(produced(77), FROM_CLIENT).duplicate, false)
    assert.throws(() => log.append(produced(77 + 2), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
  })

  test('five batches of each producer are remembered across a restart, in order or not', async () => {
    const fixture = await new LogFixture({ segmentBytes: 1000 }).open()
    let log = await fixture.log()
    for (let i = 0; i < 20; i++) log.append(produced(i), FROM_CLIENT)
    await log.flush()
    for (const again of [() => fixture.restart(), () => fixture.crash()]) {
      log = await again()
      for (let i = 15; i < 20; i++) assert.equal(log.append(produced(i), FROM_CLIENT).firstOffset, BigInt(i))
      assert.throws(() => log.append(produced(21), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    }
  })

  test('a producer silent for longer than producer.id.expiration.ms is forgotten', async () => {
    const fixture = await new LogFixture().open()
    const log = await fixture.log()
    log.append(produced(0), FROM_CLIENT)
    fixture.clock.advance(86_399_999)
    fixture.manager.expireProducers()
    assert.throws(() => log.append(produced(5), FROM_CLIENT), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    fixture.clock.advance(1)
    fixture.manager.expireProducers()
    assert.equal(log.append(produced(5), FROM_CLIENT).duplicate, false)
    fixture.tuning = { ...defaultLogTuning, producerIdExpirationMs: 1000 }
    fixture.clock.advance(1000)
    fixture.manager.expireProducers()
    assert.equal(log.append(produced(9), FROM_CLIENT).duplicate, false)
  })
})

test('a coordinator may append several batches at once, and control batches, which take offsets', async () => {
  const log = await logWith()
  const marker = endTransactionMarker({ result: 'commit', producerId: 1n, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1n })
  const result = log.append(Buffer.concat([batchOf(2), marker, batchOf(1)]), { origin: 'coordinator', leaderEpoch: 3 })
  assert.deepEqual([result.firstOffset, result.lastOffset], [0n, 3n])
})

test('a replica keeps the offsets and epochs of its leader, holes included, and never goes back', async () => {
  const log = await logWith()
  const copied = (offset: bigint, epoch: number) => batchOf(2, { baseOffset: offset, leaderEpoch: epoch })
  const options = { origin: 'replica', leaderEpoch: 99 } as const
  log.append(Buffer.concat([copied(10n, 1), copied(15n, 2)]), options)
  assert.equal(log.endOffset, 17n)
  assert.deepEqual(log.endOffsetForEpoch(1), { leaderEpoch: 1, endOffset: 15n })
  assert.throws(() => log.append(copied(16n, 2), options), refusedAs('OFFSET_OUT_OF_RANGE'))
  await log.flush()
  assert.deepEqual(
    (await readAll(log, 0n)).map((batch) => baseOffset(batch)),
    [10n, 15n],
  )
})
