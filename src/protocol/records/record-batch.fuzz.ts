// Strategy: build a batch of random records in a random codec, then damage it: bits flipped, bytes set to extremes, pieces
//   removed, doubled or put in from another batch, with the checksum mended half of the time so that the damage gets past
//   it. Then do with it all that brokers and clients do.
// Invariants: only DecodeError (and its CompressionError) is ever thrown. Nothing decompresses beyond the limit. No record
//   lies outside of the bytes it came from. A batch that was not damaged reads back as it was built.

import assert from 'node:assert/strict'
import { scheduler } from 'node:timers/promises'
import { compress, isCodecId } from '../../bytes/compression/codecs.ts'
import { DecodeError } from '../../bytes/reader.ts'
import { type Random, seededRandom } from '../../host/random.ts'
import { RecordBatchBuilder, recompress, retainRecords } from './batch-builder.ts'
import { BATCH_HEADER_SIZE, codecId, computedCrc } from './batch-header.ts'
import { readControlRecord } from './control-record.ts'
import type { RecordInput } from './record.ts'
import { checkBatch, checkFrame, checkProduced, eachBatch } from './record-batch.ts'
import { decodeRecords, type RecordCursor, recordBytes } from './record-cursor.ts'

const LIMIT = 64 * 1024
const CRC_POSITION = 17
const EXTREMES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff]

/** Throws an AssertionError that names the iteration, which together with the seed leads back to the damage. */
export async function fuzz(iterations: number, seed: number): Promise<void> {
  const random = seededRandom(seed)
  let other = randomBatch(random).batch
  for (let iteration = 0; iteration < iterations; iteration++) {
    // The codecs' memory is given back on turns of the event loop only.
    if (iteration % 100 === 0) await scheduler.yield()
    const { batch, records } = randomBatch(random)
    readsBack(batch, records)
    const damaged = damage(random, batch, other)
    try {
      survives(damaged)
    } catch (error) {
      throw new assert.AssertionError({ message: `seed ${seed}, iteration ${iteration}: ${(error as Error).stack}` })
    }
    other = batch
  }
}

function readsBack(batch: Buffer, records: readonly RecordInput[]): void {
  assert.equal(checkBatch(batch), undefined)
  const expected = records.map((record, i) => ({ offset: BigInt(i), key: null, value: null, headers: [], ...record }))
  assert.deepEqual([...decodeRecords(batch)], expected)
}

function survives(bytes: Buffer): void {
  checkBatch(bytes)
  const sound = refusing(() => [...eachBatch(bytes)]) ?? []
  for (const at of checkFrame(bytes) === undefined ? [0, ...sound] : sound) {
    checkBatch(bytes, at)
    checkProduced(bytes, at)
    const options = { maxDecompressedBytes: LIMIT }
    const content = refusing(() => recordBytes(bytes, at, options))
    if (content !== undefined && codecId(bytes, at) !== 0) assert.ok(content.length <= LIMIT)
    refusing(() => {
      let size = 0
      for (const { key, value, headers } of decodeRecords(bytes, at, options)) {
        size += (key?.length ?? 0) + (value?.length ?? 0) + headers.reduce((sum, header) => sum + (header.value?.length ?? 0), 0)
        assert.ok(size <= content!.length)
      }
    })
    refusing(() => readControlRecord(bytes, at, options))
    refusing(() => retainRecords(bytes, at, (record: RecordCursor) => record.hasKey, options))
    refusing(() => recompress(bytes, at, 0, options))
  }
}

function refusing<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

const below = (random: Random, limit: number): number => random.u32() % limit

function randomBatch(random: Random): { batch: Buffer; records: RecordInput[] } {
  const builder = new RecordBatchBuilder()
  const records: RecordInput[] = []
  const count = 1 + below(random, 8)
  for (let i = 0; i < count; i++) {
    const record: RecordInput = {
      timestamp: BigInt(below(random, 1000)) * 10n ** BigInt(below(random, 16)) - 100n,
      ...(below(random, 3) > 0 && { key: randomBytes(random) }),
      ...(below(random, 4) > 0 && { value: randomBytes(random) }),
      ...(below(random, 3) === 0 && {
        headers: Array.from({ length: below(random, 4) }, (_, n) => ({
          key: `h${n}ä`,
          value: n === 1 ? null : randomBytes(random),
        })),
      }),
    }
    builder.append(record)
    records.push(record)
  }
  return { batch: builder.build({ codecId: below(random, 5) }), records }
}

/** Long ones are of one byte value, so that they compress far. */
function randomBytes(random: Random): Buffer {
  return below(random, 20) === 0 ? Buffer.alloc(below(random, 100_000), random.u32()) : random.bytes(below(random, 30))
}

function damage(random: Random, batch: Buffer, other: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(batch)
  // Half of the damage goes to what is compressed, not to the codec's framing of it.
  const inside = below(random, 2) === 0 && isCodecId(codecId(bytes)) ? inner(random, bytes) : undefined
  bytes = inside ?? bytes
  const from = below(random, 2) === 0 ? 0 : BATCH_HEADER_SIZE
  for (let times = below(random, 4); times > 0; times--) {
    if (bytes.length <= from) break
    const at = from + below(random, bytes.length - from)
    const length = below(random, 40)
    switch (below(random, 6)) {
      case 0:
        bytes[at] ^= 1 << below(random, 8)
        break
      case 1:
        bytes.subarray(at, at + 1 + below(random, 6)).fill(EXTREMES[below(random, EXTREMES.length)])
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(below(random, other.length))])
    }
  }
  if (bytes.length >= BATCH_HEADER_SIZE && below(random, 2) === 0) mend(bytes)
  return bytes
}

/** Damages the records of a batch and compresses them again. */
function inner(random: Random, batch: Buffer): Buffer {
  const records = Buffer.from(recordBytes(batch))
  for (let times = 1 + below(random, 3); times > 0; times--) {
    // The beginning is where lengths and counts are; values are long and any byte of them is as good as another.
    records[below(random, Math.min(records.length, 64))] = EXTREMES[below(random, EXTREMES.length)]
  }
  const bytes = Buffer.concat([batch.subarray(0, BATCH_HEADER_SIZE), compress(codecId(batch), records)])
  mend(bytes)
  return bytes
}

function mend(bytes: Buffer): void {
  bytes.writeInt32BE(bytes.length - 12, 8)
  bytes.writeUInt32BE(computedCrc(bytes), CRC_POSITION)
}
