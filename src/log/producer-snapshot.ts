// Producer state in a file, `<offset>.snapshot`: what it was when the log ended at that offset. Kafka's format, version 1.
// Kafka writes one entry per producer, its last batch, and of several in a file takes the last. We write up to five, oldest
// first: so that a client's repetition is still known as one after a restart, and Kafka reads the file as its own.

import { DecodeError } from '../bytes/reader.ts'
import {
  decodeProducerSnapshot as decodeEntries,
  encodeProducerSnapshot as encodeEntries,
} from '../protocol/internal-records/producer-snapshot.ts'
import { NO_SEQUENCE } from '../protocol/records/batch-header.ts'
import { type ProducerEntry, ProducerState, REMEMBERED_BATCHES } from './producer-state.ts'

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
  return encodeEntries(producerEntries)
}

/** Whether a file is whole: it is written without a sync. */
export function isProducerSnapshot(bytes: Buffer): boolean {
  try {
    decodeEntries(bytes)
    return true
  } catch (error) {
    if (error instanceof DecodeError) return false
    throw error
  }
}

/** Throws DecodeError where the file is damaged: the state must then be had from the log. */
export function decodeProducerSnapshot(bytes: Buffer, nowMs: number): ProducerState {
  const producerEntries = decodeEntries(bytes)
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
