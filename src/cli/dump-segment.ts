// The batches and records of one .log file as text, laid out as Kafka's tool does.

import { basename } from 'node:path'
import { codecName, isCodecId } from '../bytes/compression/codecs.ts'
import { DecodeError } from '../bytes/reader.ts'
import { decodeControllerControlRecord } from '../protocol/internal-records/controller-control-records.ts'
import {
  baseOffset,
  baseSequence,
  baseTimestamp,
  codecId,
  computedCrc,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffset,
  lastOffsetDelta,
  leaderEpoch,
  magic,
  maxTimestamp,
  producerEpoch,
  producerId,
  recordCount,
  storedCrc,
} from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import { RecordCursor } from '../protocol/records/record-cursor.ts'
import { messageJson } from './message-json.ts'
import type { Printer } from './printer.ts'
import type { RecordDecoder } from './record-decoder.ts'
import { baseOffsetOf, SegmentFile } from './segment-file.ts'

export interface DumpSegmentOptions {
  /** Print records, not only batches. */
  readonly deep: boolean
  readonly printContents: boolean
  readonly skipRecordMetadata: boolean
  readonly decode: RecordDecoder
  /** Batches that end behind this position are left out. */
  readonly maxBytes: number
}

/** Holds one batch at a time. Resolves with what is wrong with the file, a line each. */
export async function dumpSegment(path: string, printer: Printer, options: DumpSegmentOptions): Promise<string[]> {
  await using segment = await SegmentFile.open(path)
  await printer.line(firstLine(path))
  const gaps: string[] = []
  let previous = -1n
  let position = 0
  for (;;) {
    const place = await segment.batchAt(position)
    if (place === undefined || position + place.size > options.maxBytes) break
    const batch = await segment.read(place)
    if (batch === undefined) break
    await printer.line(batchLine(batch, position))
    if (options.deep) {
      try {
        const cursor = new RecordCursor(batch)
        while (cursor.next()) {
          const { offset } = cursor
          if (offset !== previous + 1n) gaps.push(`  ${previous} is followed by ${offset}`)
          previous = offset
          await printer.line(recordLine(batch, cursor, options))
        }
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
        await printer.line(`| the records cannot be read: ${error.message}`)
      }
    }
    position += place.size
  }
  if (position < segment.size && options.maxBytes === Number.POSITIVE_INFINITY) {
    await printer.line(`Found ${segment.size - position} invalid bytes at the end of ${basename(path)}`)
  }
  return gaps.length === 0 ? [] : [`Non-consecutive offsets in ${path}`, ...gaps]
}

/** A snapshot of Kafka's controllers is named for the end of what it stands for, and its epoch. */
function firstLine(path: string): string {
  const snapshot = /(\d{20})-(\d{10})\.checkpoint$/.exec(path)
  if (snapshot === null) return `Log starting offset: ${baseOffsetOf(path)}`
  return `Snapshot end offset: ${BigInt(snapshot[1])}, epoch: ${Number(snapshot[2])}`
}

/** Sequence numbers wrap from the greatest int32 to 0. */
function sequence(base: number, delta: number): number {
  return base < 0 ? -1 : (base + delta) % 2 ** 31
}

function timestampType(batch: Buffer): string {
  return isLogAppendTime(batch) ? 'LogAppendTime' : 'CreateTime'
}

function batchLine(batch: Buffer, position: number): string {
  const codec = codecId(batch)
  return [
    `baseOffset: ${baseOffset(batch)}`,
    `lastOffset: ${lastOffset(batch)}`,
    `count: ${recordCount(batch)}`,
    `baseSequence: ${baseSequence(batch)}`,
    `lastSequence: ${sequence(baseSequence(batch), lastOffsetDelta(batch))}`,
    `producerId: ${producerId(batch)}`,
    `producerEpoch: ${producerEpoch(batch)}`,
    `partitionLeaderEpoch: ${leaderEpoch(batch)}`,
    `isTransactional: ${isTransactional(batch)}`,
    `isControl: ${isControl(batch)}`,
    // As Java prints an OptionalLong.
    `deleteHorizonMs: ${hasDeleteHorizon(batch) ? `OptionalLong[${baseTimestamp(batch)}]` : 'OptionalLong.empty'}`,
    `position: ${position}`,
    `${timestampType(batch)}: ${maxTimestamp(batch)}`,
    `size: ${batch.length}`,
    `magic: ${magic(batch)}`,
    `compresscodec: ${isCodecId(codec) ? codecName(codec) : `unknown(${codec})`}`,
    `crc: ${storedCrc(batch)}`,
    `isvalid: ${computedCrc(batch) === storedCrc(batch)}`,
  ].join(' ')
}

function recordLine(batch: Buffer, record: RecordCursor, options: DumpSegmentOptions): string {
  const parts: string[] = ['|']
  const { key, value } = record
  if (!options.skipRecordMetadata) {
    parts.push(
      `offset: ${record.offset}`,
      `${timestampType(batch)}: ${record.timestamp}`,
      `keySize: ${key?.length ?? -1}`,
      `valueSize: ${value?.length ?? -1}`,
      `sequence: ${sequence(baseSequence(batch), record.offsetDelta)}`,
      `headerKeys: [${record.headers.map((header) => header.key).join()}]`,
    )
    if (isControl(batch)) parts.push(controlText(batch, value))
  }
  if (options.printContents && !isControl(batch)) {
    const decoded = options.decode(key, value, record.offset)
    if (decoded.key !== undefined) parts.push(`key: ${decoded.key}`)
    if (decoded.value !== undefined) parts.push(`payload: ${decoded.value}`)
  }
  // Control records without their metadata leave an empty line.
  return parts.length === 1 ? '' : parts.join(' ')
}

function controlText(batch: Buffer, value: Buffer | null): string {
  const control = readControlRecord(batch)
  if (control === undefined) return ''
  if (control.type === 'other') return controllerText(control.id, value)
  return `endTxnMarker: ${control.type.toUpperCase()} coordinatorEpoch: ${control.coordinatorEpoch}`
}

/** As Kafka's tool names them: one of them with a colon. */
const CONTROLLER_RECORDS = new Map([
  [2, 'LeaderChange:'],
  [3, 'SnapshotHeader'],
  [4, 'SnapshotFooter'],
  [5, 'KRaftVersion'],
  [6, 'KRaftVoters'],
])

function controllerText(id: number, value: Buffer | null): string {
  const record = decodeControllerControlRecord(id, value)
  if (record === undefined) return `controlType: UNKNOWN(${id})`
  return `${CONTROLLER_RECORDS.get(id)} ${messageJson(record.message, record.version, record.value)}`
}
