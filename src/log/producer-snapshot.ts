// Producer state in a file, `<offset>.snapshot`: what it was when the log ended at that offset. Kafka's format, version 1.
// Kafka writes one entry per producer, its last batch, and of several in a file takes the last. We write up to five, oldest
// first: so that a client's repetition is still known as one after a restart, and Kafka reads the file as its own.

import { crc32c } from '../bytes/crc32c.ts'
import { DecodeError, Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { NO_SEQUENCE } from '../protocol/records/batch-header.ts'
import { array, int16, int32, int64, message, uint32 } from '../protocol/schema.ts'
import { type ProducerEntry, ProducerState, REMEMBERED_BATCHES } from './producer-state.ts'

export const ProducerSnapshot = message('ProducerSnapshot', {
  versions: '1',
  flexible: 'none',
  fields: {
    /** Of everything behind it. */
    crc: uint32(),
    producerEntries: array({
      producerId: int64(),
      epoch: int16(),
      lastSequence: int32(),
      lastOffset: int64(),
      offsetDelta: int32(),
      timestamp: int64(),
      coordinatorEpoch: int32(),
      currentTxnFirstOffset: int64(),
    }),
  },
})

const VERSION = 1
/** Behind the version and the checksum. */
const ENTRIES_POSITION = 6
const CRC_POSITION = 2
const ENTRY_SIZE = 46

export function encodeProducerSnapshot(state: ProducerState): Buffer {
  const producerEntries = []
  for (const [producerId, entry] of state) {
    const common = {
      producerId,
      epoch: entry.epoch,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnFirstOffset: entry.transactionFirstOffset,
    }
    for (const batch of entry.batches) producerEntries.push({ ...common, ...batch })
    if (entry.batches.length === 0) {
      producerEntries.push({
        ...common,
        lastSequence: NO_SEQUENCE,
        lastOffset: -1n,
        offsetDelta: 0,
        timestamp: entry.lastTimestamp,
      })
    }
  }
  const writer = new Writer(ENTRIES_POSITION + 4 + producerEntries.length * ENTRY_SIZE)
  writer.int16(VERSION)
  ProducerSnapshot.encode(writer, VERSION, { crc: 0, producerEntries })
  const bytes = writer.toBuffer()
  bytes.writeUInt32BE(crc32c(bytes.subarray(ENTRIES_POSITION)), CRC_POSITION)
  return bytes
}

/** Whether a file is whole: it is written without a sync. */
export function isProducerSnapshot(bytes: Buffer): boolean {
  if (bytes.length < ENTRIES_POSITION + 4 || bytes.readInt16BE(0) !== VERSION) return false
  return bytes.readUInt32BE(CRC_POSITION) === crc32c(bytes.subarray(ENTRIES_POSITION))
}

/** Throws DecodeError where the file is damaged: the state must then be had from the log. */
export function decodeProducerSnapshot(bytes: Buffer, nowMs: number): ProducerState {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (version !== VERSION) throw new DecodeError(`producer snapshot of version ${version}, only ${VERSION} is known`)
  const { crc, producerEntries } = ProducerSnapshot.decode(reader, VERSION)
  if (crc !== crc32c(bytes.subarray(ENTRIES_POSITION)))
    throw new DecodeError('the checksum of the producer snapshot does not match')
  const entries = new Map<bigint, (typeof producerEntries)[number][]>()
  for (const entry of producerEntries) {
    const others = entries.get(entry.producerId)
    if (others === undefined) entries.set(entry.producerId, [entry])
    else others.push(entry)
  }
  const producers = new Map<bigint, ProducerEntry>()
  for (const [producerId, all] of entries) {
    const { epoch, coordinatorEpoch, currentTxnFirstOffset, timestamp: lastTimestamp } = all[all.length - 1]
    const batches = all.filter((entry) => entry.epoch === epoch && entry.lastSequence !== NO_SEQUENCE).slice(-REMEMBERED_BATCHES)
    producers.set(producerId, {
      epoch,
      batches: batches.map(({ lastSequence, lastOffset, offsetDelta, timestamp }) => ({
        lastSequence,
        lastOffset,
        offsetDelta,
        timestamp,
      })),
      coordinatorEpoch,
      transactionFirstOffset: currentTxnFirstOffset,
      lastTimestamp,
      lastSeenMs: nowMs,
    })
  }
  return new ProducerState(producers)
}
