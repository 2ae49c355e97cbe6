// From the bytes that a fetch brought to the records that the application sees: whole batches only, nothing below the offset that
// was asked for, no control records, and, reading committed data only, nothing of an aborted transaction.

import { DecodeError } from '../bytes/reader.ts'
import {
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffset,
  leaderEpoch,
  producerId,
} from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import type { KafkaRecord } from '../protocol/records/record.ts'
import { checkCounts, checkCrc, eachBatch } from '../protocol/records/record-batch.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'

export type TimestampType = 'CreateTime' | 'LogAppendTime' | 'NoTimestampType'

/** A record as a consumer gives it out. */
export interface ConsumerRecord extends KafkaRecord {
  readonly topic: string
  readonly partition: number
  readonly timestampType: TimestampType
  /** Of the leader that wrote it. */
  readonly leaderEpoch: number
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

export interface DecodeFetchedOptions {
  readonly topic: string
  readonly partition: number
  readonly fetchOffset: bigint
  readonly readCommitted: boolean
  /** As the broker listed them, for `readCommitted`. */
  readonly abortedTransactions: readonly AbortedTransaction[]
  readonly checkCrcs: boolean
}

export interface Fetched {
  readonly records: ConsumerRecord[]
  /** Where to fetch next: behind the last whole batch, which may be farther than the last record. */
  readonly nextOffset: bigint
}

/** Throws DecodeError for batches that are not what they claim to be. */
export function decodeFetched(bytes: Buffer, options: DecodeFetchedOptions): Fetched {
  const { topic, partition, fetchOffset, readCommitted, checkCrcs } = options
  const aborted = [...options.abortedTransactions].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  const abortedNow = new Set<bigint>()
  const records: ConsumerRecord[] = []
  let nextOffset = fetchOffset
  for (const at of eachBatch(bytes)) {
    const problem = checkCounts(bytes, at) ?? (checkCrcs ? checkCrc(bytes, at) : undefined)
    if (problem !== undefined) throw new DecodeError(`${topic}-${partition} at offset ${nextOffset}: ${problem.message}`)
    const last = lastOffset(bytes, at)
    if (last < fetchOffset) continue
    nextOffset = last + 1n
    if (readCommitted) {
      while (aborted.length > 0 && aborted[0].firstOffset <= last) abortedNow.add(aborted.shift()!.producerId)
    }
    if (isControl(bytes, at)) {
      if (readCommitted && readControlRecord(bytes, at)?.type === 'abort') abortedNow.delete(producerId(bytes, at))
      continue
    }
    if (readCommitted && isTransactional(bytes, at) && abortedNow.has(producerId(bytes, at))) continue
    const stamp: TimestampType = isLogAppendTime(bytes, at) ? 'LogAppendTime' : 'CreateTime'
    const epoch = leaderEpoch(bytes, at)
    for (const record of decodeRecords(bytes, at)) {
      if (record.offset < fetchOffset) continue
      const timestampType = record.timestamp === -1n ? 'NoTimestampType' : stamp
      const { offset, timestamp, key, value, headers } = record
      records.push({ topic, partition, offset, timestamp, timestampType, key, value, headers, leaderEpoch: epoch })
    }
  }
  return { records, nextOffset }
}
