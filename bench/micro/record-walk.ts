// What looking at every record of a produced batch costs, beside what is done to each batch anyway (its checksum, and one copy).
//   node bench/micro/record-walk.ts

import { type CodecName, CompressionCodec } from '../../src/bytes/compression/codecs.ts'
import { RecordBatchBuilder } from '../../src/protocol/records/batch-builder.ts'
import { BATCH_HEADER_SIZE, recordCount } from '../../src/protocol/records/batch-header.ts'
import { checkCrc } from '../../src/protocol/records/record-batch.ts'
import { RecordCursor, recordBytes } from '../../src/protocol/records/record-cursor.ts'
import { walkRecords } from '../../src/protocol/records/record-walk.ts'

/** Records as bytes, some of which repeat: about what JSON of a service looks like to a codec. */
function batchOf(recordBytes: number, records: number, codec: CodecName): Buffer {
  const builder = new RecordBatchBuilder()
  const now = 1_750_000_000_000n
  for (let i = 0; i < records; i++) {
    const json = JSON.stringify({ id: i * 7919, user: `user-${(i * 31) % 1000}`, at: Number(now) + i, amount: (i * 17) % 10_000 })
    builder.append({ timestamp: now + BigInt(i), key: Buffer.from(`k${i}`), value: Buffer.alloc(recordBytes, json) })
  }
  return builder.build({ codecId: CompressionCodec[codec] })
}

/** Seconds of processor time for a gigabyte of records, uncompressed. */
function secondsPerGigabyte(bytes: number, work: () => void): number {
  const rounds = Math.max(1, Math.ceil(200_000_000 / bytes))
  for (let i = 0; i < rounds / 10; i++) work()
  const before = process.cpuUsage()
  for (let i = 0; i < rounds; i++) work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6 / ((rounds * bytes) / 1e9)
}

function walk(batch: Buffer): void {
  const bytes = recordBytes(batch)
  walkRecords(bytes, 0, bytes.length, recordCount(batch))
}

const row = (cells: (string | number)[]) => console.log(cells.map((cell) => String(cell).padEnd(14)).join(''))
row(['value bytes', 'codec', 'ratio', 'walk s/GB', 'cursor s/GB', 'crc s/GB', 'copy s/GB'])
for (const [size, records] of [
  [10, 1000],
  [100, 150],
  [100, 8000],
  [1000, 1000],
] as const) {
  for (const codec of ['none', 'lz4', 'snappy', 'zstd', 'gzip'] as const) {
    const batch = batchOf(size, records, codec)
    const plain = batchOf(size, records, 'none').length - BATCH_HEADER_SIZE
    const target = Buffer.allocUnsafeSlow(batch.length)
    const figures = [
      () => walk(batch),
      () => {
        const cursor = new RecordCursor(batch)
        while (cursor.next());
      },
      () => void checkCrc(batch),
      () => void batch.copy(target),
    ].map((work) => secondsPerGigabyte(plain, work).toFixed(3))
    row([size, codec, (plain / batch.length).toFixed(1), ...figures])
    // Results of native codecs are only given back on a turn of the event loop.
    await new Promise(setImmediate)
  }
}
