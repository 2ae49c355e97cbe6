// What reading and writing primitives cost: `node bench/micro/bytes.ts`. Nanoseconds per operation, the best of several runs.

import { crc32c } from '../../src/bytes/crc32c.ts'
import { Reader } from '../../src/bytes/reader.ts'
import { Writer } from '../../src/bytes/writer.ts'
import { RecordBatchBuilder } from '../../src/protocol/records/batch-builder.ts'
import { checkBatch } from '../../src/protocol/records/record-batch.ts'
import { decodeRecords, RecordCursor } from '../../src/protocol/records/record-cursor.ts'

const RUNS = 7

function measure(name: string, operations: number, run: () => void): void {
  run()
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < RUNS; i++) {
    const start = process.hrtime.bigint()
    run()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / operations)
  }
  console.log(`${name.padEnd(40)} ${best.toFixed(1).padStart(9)} ns`)
}

const N = 100_000

function reading(name: string, write: (writer: Writer) => void, read: (reader: Reader) => unknown): void {
  const writer = new Writer(1 << 20)
  for (let i = 0; i < N; i++) write(writer)
  const buffer = writer.toBuffer()
  measure(`read ${name}`, N, () => {
    const reader = new Reader(buffer)
    for (let i = 0; i < N; i++) read(reader)
  })
  measure(`write ${name}`, N, () => {
    const fresh = new Writer(buffer.length + 16)
    for (let i = 0; i < N; i++) write(fresh)
  })
}

reading(
  'int8',
  (w) => w.int8(5),
  (r) => r.int8(),
)
reading(
  'int16',
  (w) => w.int16(5),
  (r) => r.int16(),
)
reading(
  'int32',
  (w) => w.int32(5),
  (r) => r.int32(),
)
reading(
  'int64',
  (w) => w.int64(1_700_000_000_000n),
  (r) => r.int64(),
)
reading(
  'unsigned varint of 1 byte',
  (w) => w.unsignedVarint(100),
  (r) => r.unsignedVarint(),
)
reading(
  'unsigned varint of 3 bytes',
  (w) => w.unsignedVarint(1_000_000),
  (r) => r.unsignedVarint(),
)
reading(
  'varlong of 2 bytes',
  (w) => w.varlong(1000n),
  (r) => r.varlong(),
)
reading(
  'varlong of 6 bytes',
  (w) => w.varlong(1_000_000_000_000n),
  (r) => r.varlong(),
)
reading(
  'uuid',
  (w) => w.uuid('AAECAwQFBgcICQoLDA0ODw'),
  (r) => r.uuid(),
)
for (const length of [4, 12, 24, 60]) {
  const text = 'topic-name-'.repeat(6).slice(0, length)
  reading(
    `utf8 of ${length} ASCII bytes`,
    (w) => w.utf8(text, length),
    (r) => r.utf8(length),
  )
}
const umlauts = 'größere Übertragung'
reading(
  'utf8 with umlauts',
  (w) => w.utf8(umlauts, Buffer.byteLength(umlauts)),
  (r) => r.utf8(Buffer.byteLength(umlauts)),
)
for (const length of [10, 100, 500]) {
  const bytes = Buffer.alloc(length)
  reading(
    `${length} bytes`,
    (w) => w.bytes(bytes),
    (r) => r.view(length),
  )
}

for (const length of [50, 100, 200, 1000, 16_384]) {
  const bytes = Buffer.alloc(length + 21, 7)
  const operations = 10_000
  measure(`crc32c of ${length} bytes`, operations, () => {
    for (let i = 0; i < operations; i++) crc32c(bytes.subarray(21, 21 + length))
  })
}

const records = 1000
const value = Buffer.alloc(100, 'v')
const key = Buffer.alloc(10, 'k')
const build = () => {
  const builder = new RecordBatchBuilder({ sizeHint: 130_000 })
  for (let i = 0; i < records; i++) builder.append({ timestamp: 1_700_000_000_000n + BigInt(i), key, value })
  return builder.build()
}
const batch = build()
measure('append a record of 110 bytes', records * 20, () => {
  for (let i = 0; i < 20; i++) build()
})
measure('move a cursor by one record', records * 20, () => {
  for (let i = 0; i < 20; i++) for (const cursor = new RecordCursor(batch); cursor.next(); );
})
measure('decode a record', records * 20, () => {
  for (let i = 0; i < 20; i++) for (const _ of decodeRecords(batch));
})
measure('check a batch of 115 kB', 100, () => {
  for (let i = 0; i < 100; i++) checkBatch(batch)
})
