import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { temporaryDirectory } from '../../test/support/temporary-directory.ts'
import { CompressionCodec } from '../bytes/compression/codecs.ts'
import { seededRandom } from '../host/random.ts'
import { encodeProducerSnapshot } from '../protocol/internal-records/producer-snapshot.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { dumpOffsetIndex, dumpProducerSnapshot, dumpTimeIndex, dumpTransactionIndex } from './dump-indexes.ts'
import { type DumpSegmentOptions, dumpSegment } from './dump-segment.ts'
import { Printer } from './printer.ts'
import { plainDecoder } from './record-decoder.ts'

/** Two records a batch. */
function batch(baseOffset: bigint, timestamp = 1000n, codecId: number = CompressionCodec.none): Buffer {
  const builder = new RecordBatchBuilder()
  for (const value of ['x', 'y']) builder.append({ timestamp, key: null, value: Buffer.from(value) })
  return builder.build({ baseOffset, leaderEpoch: 4, codecId })
}

const OPTIONS: DumpSegmentOptions = {
  deep: true,
  printContents: true,
  skipRecordMetadata: false,
  decode: plainDecoder('StringDecoder', 'StringDecoder'),
  maxBytes: Number.POSITIVE_INFINITY,
}

type Dump = (path: string, printer: Printer) => Promise<string[]>

/** Lines printed, and problems found. */
async function dumped(files: Record<string, Buffer>, dump: Dump, name = '00000000000000000005.log') {
  await using directory = await temporaryDirectory()
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(directory.path, file), bytes)
  const stream = new PassThrough()
  const printed = text(stream)
  const printer = new Printer(stream)
  const problems = await dump(join(directory.path, name), printer)
  await printer.flush()
  stream.end()
  const strip = (line: string) => line.replaceAll(`${directory.path}/`, '')
  return { lines: (await printed).split('\n').slice(0, -1).map(strip), problems: problems.map(strip) }
}

const segment = (bytes: Buffer, options: Partial<DumpSegmentOptions> = {}) =>
  dumped({ '00000000000000000005.log': bytes }, (path, printer) => dumpSegment(path, printer, { ...OPTIONS, ...options }))

test('batches and their records are printed, whatever the codec', async () => {
  const { lines, problems } = await segment(Buffer.concat([batch(5n), batch(7n, 2000n, CompressionCodec.zstd)]))
  assert.equal(lines.length, 7)
  assert.equal(lines[0], 'Log starting offset: 5')
  assert.match(
    lines[1],
    /^baseOffset: 5 lastOffset: 6 count: 2 .* position: 0 CreateTime: 1000 .* compresscodec: none crc: \d+ isvalid: true$/,
  )
  assert.equal(lines[2], '| offset: 5 CreateTime: 1000 keySize: -1 valueSize: 1 sequence: -1 headerKeys: [] payload: x')
  assert.match(lines[4], / compresscodec: zstd /)
  assert.match(lines[6], /^\| offset: 8 /)
  assert.deepEqual(problems, ['Non-consecutive offsets in 00000000000000000005.log', '  -1 is followed by 5'])
})

test('records can be left out, or printed without what stands around them', async () => {
  assert.equal((await segment(batch(5n), { deep: false })).lines.length, 2)
  assert.deepEqual((await segment(batch(5n), { skipRecordMetadata: true })).lines.slice(2), ['| payload: x', '| payload: y'])
})

test('reading stops at the number of bytes asked for', async () => {
  const first = batch(5n)
  const { lines } = await segment(Buffer.concat([first, batch(7n)]), { deep: false, maxBytes: first.length + 10 })
  assert.equal(lines.length, 2)
})

test('markers of transactions are told apart', async () => {
  const marker = endTransactionMarker({
    result: 'abort',
    producerId: 9n,
    producerEpoch: 1,
    coordinatorEpoch: 3,
    timestamp: 1n,
    baseOffset: 5n,
  })
  const { lines } = await segment(marker)
  assert.match(lines[1], / isTransactional: true isControl: true /)
  assert.match(lines[2], / headerKeys: \[\] endTxnMarker: ABORT coordinatorEpoch: 3$/)
})

test('a damaged batch is shown as such, and a torn one counted', async () => {
  const damaged = batch(5n)
  damaged[damaged.length - 1] ^= 1
  const torn = batch(7n).subarray(0, 70)
  const { lines } = await segment(Buffer.concat([damaged, torn]))
  assert.match(lines[1], /isvalid: false$/)
  assert.equal(lines.at(-1), 'Found 70 invalid bytes at the end of 00000000000000000005.log')
})

test('any bytes at all are survived', async () => {
  const random = seededRandom(5)
  for (let round = 0; round < 100; round++) {
    const bytes = Buffer.concat([batch(5n, 1n, random.u32() % 5), batch(7n)])
    for (let change = 0; change < 5; change++) bytes[random.u32() % bytes.length] = random.u32() & 0xff
    const { lines } = await segment(bytes)
    assert.equal(lines[0], 'Log starting offset: 5')
  }
})

function offsetIndex(...entries: readonly [number, number][]): Buffer {
  const bytes = Buffer.alloc(entries.length * 8)
  for (const [index, [offset, position]] of entries.entries()) {
    bytes.writeUInt32BE(offset, index * 8)
    bytes.writeUInt32BE(position, index * 8 + 4)
  }
  return bytes
}

test('an offset index is checked against its segment', async () => {
  const first = batch(5n)
  const log = Buffer.concat([first, batch(7n)])
  const index = offsetIndex([1, 0], [2, first.length])
  // Kafka allocates indexes in advance: zeros follow.
  const files = { '00000000000000000005.log': log, '00000000000000000005.index': Buffer.concat([index, Buffer.alloc(16)]) }
  const name = '00000000000000000005.index'
  const { lines, problems } = await dumped(files, (path, printer) => dumpOffsetIndex(path, printer, {}), name)
  assert.deepEqual(lines, ['offset: 6 position: 0', `offset: 7 position: ${first.length}`])
  assert.deepEqual(problems, [`Mismatches in :${name}`, '  Index offset: 7, log offset: 8'])
  const verified = await dumped(files, (path, printer) => dumpOffsetIndex(path, printer, { verifyIndexOnly: true }), name)
  assert.deepEqual(verified.lines, [])
  const torn = { ...files, [name]: index.subarray(0, 15) }
  await assert.rejects(
    dumped(torn, (path, printer) => dumpOffsetIndex(path, printer, { indexSanityCheck: true }), name),
    /no multiple of 8/,
  )
})

test('a time index is checked against its segment', async () => {
  const log = Buffer.concat([batch(5n, 1000n), batch(7n, 2000n)])
  const entry = (timestamp: bigint, offset: number) => {
    const bytes = Buffer.alloc(12)
    bytes.writeBigInt64BE(timestamp)
    bytes.writeUInt32BE(offset, 8)
    return bytes
  }
  const name = '00000000000000000005.timeindex'
  const files = { '00000000000000000005.log': log, [name]: Buffer.concat([entry(1000n, 1), entry(1500n, 3)]) }
  const { lines, problems } = await dumped(files, (path, printer) => dumpTimeIndex(path, printer, {}), name)
  assert.deepEqual(lines, ['timestamp: 1000 offset: 6', 'timestamp: 1500 offset: 8'])
  assert.deepEqual(problems, [`Found timestamp mismatch in :${name}`, '  Index timestamp: 1500, log timestamp: 2000'])
})

test('producer snapshots and transaction indexes are printed', async () => {
  const entry = {
    producerId: 9n,
    epoch: 2,
    lastSequence: 1,
    lastOffset: 6n,
    offsetDelta: 1,
    timestamp: 1000n,
    coordinatorEpoch: -1,
    currentTxnFirstOffset: -1n,
  }
  const name = '00000000000000000007.snapshot'
  const snapshot = await dumped({ [name]: encodeProducerSnapshot([entry]) }, dumpProducerSnapshot, name)
  assert.deepEqual(snapshot.lines, [
    'producerId: 9 producerEpoch: 2 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong.empty lastTimestamp: 1000 firstSequence: 0 lastSequence: 1 lastOffset: 6 offsetDelta: 1 timestamp: 1000',
  ])
  const torn = await dumped({ [name]: Buffer.alloc(9) }, dumpProducerSnapshot, name)
  assert.equal(torn.problems.length, 1)

  const aborted = Buffer.alloc(34)
  for (const [index, value] of [9n, 5n, 6n, 7n].entries()) aborted.writeBigInt64BE(value, 2 + index * 8)
  const indexName = '00000000000000000005.txnindex'
  const index = await dumped({ [indexName]: aborted }, dumpTransactionIndex, indexName)
  assert.deepEqual(index.lines, ['version: 0 producerId: 9 firstOffset: 5 lastOffset: 6 lastStableOffset: 7'])
})
