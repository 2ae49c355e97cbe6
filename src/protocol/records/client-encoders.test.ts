// Batches byte for byte as clients write them, and batches of ours as clients read them.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import snappy from 'snappy'
import { Reader as PlatformaticReader } from '../../../node_modules/@platformatic/kafka/dist/protocol/reader.js'
import * as platformatic from '../../../node_modules/@platformatic/kafka/dist/protocol/records.js'
import { CompressionCodec, codecName } from '../../bytes/compression/codecs.ts'
import { RecordBatchBuilder } from './batch-builder.ts'
import { BATCH_HEADER_SIZE, writeBatchHeader } from './batch-header.ts'
import type { KafkaRecord, RecordInput } from './record.ts'
import { checkBatch, checkProduced } from './record-batch.ts'
import { decodeRecords } from './record-cursor.ts'

const require = createRequire(import.meta.url)
const kafkajsProtocol = '../../../node_modules/kafkajs/src/protocol'
const kafkajsBatch = require(`${kafkajsProtocol}/recordBatch/v0`).RecordBatch
const kafkajsRecord = require(`${kafkajsProtocol}/recordBatch/record/v0`)
const kafkajsDecode = require(`${kafkajsProtocol}/recordBatch/v0/decoder`)
const KafkajsDecoder = require(`${kafkajsProtocol}/decoder`)

const NOW = 1_700_000_000_000n
const records: RecordInput[] = [
  { timestamp: NOW, key: Buffer.from('key'), value: Buffer.from('value') },
  { timestamp: NOW + 5n, key: null, value: Buffer.from('without a key') },
  { timestamp: NOW - 70_000n, key: Buffer.from('tombstone, and earlier than the first'), value: null },
  // @platformatic/kafka 2.12 writes deltas from 2^30 on wrongly.
  { timestamp: NOW + 1_000_000_000n, key: Buffer.alloc(0), value: Buffer.alloc(0) },
  {
    timestamp: NOW,
    key: Buffer.alloc(64, 1),
    value: Buffer.alloc(10_000, 'x'),
    headers: [
      { key: 'trace', value: Buffer.from([0, 255, 128]) },
      { key: 'größe', value: Buffer.from('L') },
      { key: '', value: Buffer.alloc(0) },
    ],
  },
]
/** As kafkajs and @platformatic/kafka send it without idempotence. */
const ORDINARY = { leaderEpoch: 0, producerId: -1n, producerEpoch: 0, baseSequence: 0 }
const IDEMPOTENT = { leaderEpoch: 0, producerId: 4_000_000_000n, producerEpoch: 7, baseSequence: 1234, transactional: true }

function ours(options: object): Buffer {
  const builder = new RecordBatchBuilder()
  for (const record of records) builder.append(record)
  return builder.build(options)
}

function decoded(batch: Buffer): KafkaRecord[] {
  assert.equal(checkBatch(batch), undefined)
  assert.equal(checkProduced(batch), undefined)
  return [...decodeRecords(batch)]
}

const expected = records.map((record, i) => ({ offset: BigInt(i), headers: [], ...record }))

async function byKafkajs(compression: number, header: typeof ORDINARY & { transactional?: boolean }): Promise<Buffer> {
  const encoded = await kafkajsBatch({
    compression,
    firstTimestamp: Number(NOW),
    maxTimestamp: Number(NOW + 1_000_000_000n),
    partitionLeaderEpoch: header.leaderEpoch,
    lastOffsetDelta: records.length - 1,
    transactional: header.transactional ?? false,
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    firstSequence: header.baseSequence,
    records: records.map(({ timestamp, key, value, headers = [] }, offsetDelta) =>
      kafkajsRecord({
        offsetDelta,
        timestampDelta: Number(timestamp - NOW),
        key,
        value,
        headers: Object.fromEntries(headers.map((header) => [header.key, header.value])),
      }),
    ),
  })
  return encoded.buffer
}

for (const [kind, header] of Object.entries({ ordinary: ORDINARY, transactional: IDEMPOTENT })) {
  for (const codecId of [CompressionCodec.none, CompressionCodec.gzip]) {
    test(`${kind} batches with codec ${codecName(codecId)} are those of kafkajs, byte for byte`, async () => {
      const theirs = await byKafkajs(codecId, header)
      assert.deepEqual(ours({ ...header, codecId }), theirs)
      assert.deepEqual(decoded(theirs), expected)
    })
  }
}

test('a record that is more than 2^31 ms later than the first is encoded as kafkajs does', () => {
  const builder = new RecordBatchBuilder()
  for (const delta of [0n, 3_000_000_000n, -3_000_000_000n, 1n << 40n]) builder.append({ timestamp: NOW + delta })
  const theirs = [0, 3_000_000_000, -3_000_000_000, 2 ** 40].map((timestampDelta, offsetDelta) =>
    kafkajsRecord({ offsetDelta, timestampDelta, key: null, value: null }),
  )
  assert.deepEqual(builder.build().subarray(BATCH_HEADER_SIZE), Buffer.concat(theirs.map((record) => record.buffer)))
})

test('kafkajs reads our batches', async () => {
  for (const codecId of [CompressionCodec.none, CompressionCodec.gzip]) {
    const batch = await kafkajsDecode(new KafkajsDecoder(ours({ codecId, baseOffset: 100n })))
    assert.equal(batch.firstOffset, '100')
    assert.deepEqual(
      batch.records.map((record: { key: Buffer; value: Buffer; offset: string; timestamp: string }) => [
        record.key,
        record.value,
        record.offset,
        record.timestamp,
      ]),
      records.map(({ key, value, timestamp }, i) => [key, value, String(100 + i), String(timestamp)]),
    )
    assert.deepEqual(Object.keys(batch.records[4].headers), ['trace', 'größe', ''])
  }
})

function byPlatformatic(codecId: number): Buffer {
  const messages = records.map(({ timestamp, key, value, headers = [] }) => ({
    topic: 'topic',
    timestamp,
    key: key ?? undefined,
    value: value ?? undefined,
    headers: new Map(headers.map((header) => [Buffer.from(header.key), header.value])),
  }))
  const writer = platformatic.createRecordsBatch(messages as never, { compression: codecName(codecId) } as never)
  return writer.dynamicBuffer.buffer
}

for (const codecId of Object.values(CompressionCodec)) {
  test(`batches of @platformatic/kafka with codec ${codecName(codecId)} are read`, () => {
    assert.deepEqual(decoded(byPlatformatic(codecId)), expected)
  })

  test(`@platformatic/kafka reads our batches with codec ${codecName(codecId)}`, () => {
    const batch = platformatic.readRecordsBatch(PlatformaticReader.from(ours({ codecId })) as never)
    const got = batch.records.map((record) => ({
      timestamp: batch.firstTimestamp + record.timestampDelta,
      key: record.key ?? null,
      value: record.value ?? null,
      headers: record.headers.map(([key, value]) => ({ key: String(key), value })),
    }))
    assert.deepEqual(
      got,
      records.map((record) => ({ headers: [], ...record })),
    )
  })
}

for (const codecId of [CompressionCodec.none, CompressionCodec.gzip, CompressionCodec.zstd]) {
  test(`batches with codec ${codecName(codecId)} are those of @platformatic/kafka, byte for byte`, () => {
    assert.deepEqual(ours({ ...ORDINARY, codecId }), byPlatformatic(codecId))
  })
}

test('a batch of librdkafka, whose snappy is one bare block, is read', () => {
  const plain = ours({})
  const compressed = snappy.compressSync(plain.subarray(BATCH_HEADER_SIZE))
  const batch = Buffer.concat([Buffer.alloc(BATCH_HEADER_SIZE), compressed])
  writeBatchHeader(batch, {
    baseOffset: 0n,
    leaderEpoch: 0,
    codecId: CompressionCodec.snappy,
    logAppendTime: false,
    transactional: false,
    control: false,
    deleteHorizon: false,
    lastOffsetDelta: records.length - 1,
    baseTimestamp: NOW,
    maxTimestamp: NOW + 1_000_000_000n,
    producerId: -1n,
    producerEpoch: -1,
    baseSequence: -1,
    recordCount: records.length,
  })
  assert.deepEqual(decoded(batch), expected)
})
