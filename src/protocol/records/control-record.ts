// Control batches: written by brokers, of one record each, skipped by consumers. The only ones in topics are the markers that
// end a transaction. They take an offset like any other record (KIP-98).

import { DecodeError, Reader } from '../../bytes/reader.ts'
import { RecordBatchBuilder } from './batch-builder.ts'
import { type DecodeOptions, RecordCursor } from './record-cursor.ts'

const ABORT = 0
const COMMIT = 1
const VERSION = 0

export type TransactionResult = 'commit' | 'abort'

export interface EndTransactionMarker {
  readonly result: TransactionResult
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  /** Milliseconds since 1970. */
  readonly timestamp: bigint
  readonly leaderEpoch?: number
  readonly baseOffset?: bigint
}

/** The batch that ends a producer's transaction in one partition. */
export function endTransactionMarker(marker: EndTransactionMarker): Buffer {
  const key = Buffer.alloc(4)
  key.writeInt16BE(VERSION, 0)
  key.writeInt16BE(marker.result === 'commit' ? COMMIT : ABORT, 2)
  const value = Buffer.alloc(6)
  value.writeInt16BE(VERSION, 0)
  value.writeInt32BE(marker.coordinatorEpoch, 2)
  const builder = new RecordBatchBuilder({ sizeHint: 32 })
  builder.append({ timestamp: marker.timestamp, key, value })
  return builder.build({
    baseOffset: marker.baseOffset,
    leaderEpoch: marker.leaderEpoch,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    transactional: true,
    control: true,
  })
}

/** `other`: a type that is none of ours, such as those in the log of a KRaft controller. To be skipped. */
export type ControlRecord =
  | { readonly type: TransactionResult; readonly coordinatorEpoch: number }
  | { readonly type: 'other'; readonly id: number }

/**
 * The record of a control batch. Undefined if compaction has taken it. Versions above ours only add fields at the end.
 * @throws DecodeError
 */
export function readControlRecord(batch: Buffer, at = 0, options?: DecodeOptions): ControlRecord | undefined {
  const cursor = new RecordCursor(batch, at, options)
  if (!cursor.next()) return undefined
  const { key, value } = cursor
  if (key === null) throw new DecodeError('control record without a key')
  const id = versioned(key).int16()
  if (id !== ABORT && id !== COMMIT) return { type: 'other', id }
  if (value === null) throw new DecodeError('end of a transaction without a value')
  return { type: id === COMMIT ? 'commit' : 'abort', coordinatorEpoch: versioned(value).int32() }
}

function versioned(bytes: Buffer): Reader {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (version < VERSION) throw new DecodeError(`control record of version ${version}`)
  return reader
}
