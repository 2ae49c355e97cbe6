// What a clean shutdown writes down of all logs of a directory, in one file, so that the next start need not look into each log's
// directory. The marker of the shutdown names the file's checksum; without it, or if anything about the file is wrong, or for a log
// that is not in it, the logs are looked at one by one.
//
//   clean-shutdown-manifest   int16 version, uint32 CRC-32C of all that follows, then the fields of `CleanManifest`

import { crc32c } from '../bytes/crc32c.ts'
import { DecodeError, Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { array, bool, bytes, int32, int64, message, string, uint32 } from '../protocol/schema.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { LoadedLog } from './log-loader.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts'
import { ProducerState } from './producer-state.ts'
import { Segment, type SegmentStorage } from './segment.ts'

const VERSION = 0
/** Of version and checksum. */
const PREFIX_SIZE = 6
const NO_OFFSET = -1n

export const CleanManifest = message('CleanManifest', {
  versions: '0',
  flexible: 'none',
  fields: {
    logs: array({
      /** `<topic>-<partition>`. */
      name: string(),
      topicId: string(),
      logStartOffset: int64(),
      endOffset: int64(),
      /** As in `leader-epoch-checkpoint`. */
      epochs: bytes(),
      /** -1: there is no snapshot. */
      snapshotOffset: int64(),
      /** As in the snapshot; empty where nothing is known of any producer. */
      producers: bytes(),
      segments: array({
        baseOffset: int64(),
        bytes: uint32(),
        indexEntries: int32(),
        timeIndexEntries: int32(),
        abortedEntries: int32(),
      }),
      /** Of the last segment, what its files do not say. */
      newestTimestamp: int64(),
      newestOffset: int64(),
      lastTimeEntry: int64(),
      hasFirstTimestamp: bool(),
      firstTimestamp: int64(),
      bytesSinceEntry: int32(),
    }),
  },
})

export type ManifestLog = ReturnType<typeof CleanManifest.decode>['logs'][number]

export function encodeManifest(logs: Iterable<readonly [name: string, log: LoadedLog]>): Buffer {
  const entries: ManifestLog[] = []
  for (const [name, log] of logs) {
    const entry = entryOf(name, log)
    if (entry !== undefined) entries.push(entry)
  }
  const writer = new Writer(256 * entries.length + 64)
  writer.int16(VERSION)
  writer.uint32(0)
  CleanManifest.encode(writer, VERSION, { logs: entries })
  const manifest = writer.toBuffer()
  manifest.writeUInt32BE(crc32c(manifest.subarray(PREFIX_SIZE)), 2)
  return manifest
}

/** What the marker says of it. */
export const manifestChecksum = (manifest: Buffer): number => manifest.readUInt32BE(2)

/** Undefined for a log of which not everything is known. */
function entryOf(name: string, log: LoadedLog): ManifestLog | undefined {
  const active = log.segments.at(-1)
  const tail = active === undefined ? NO_TAIL : active.tail
  if (log.damage !== undefined || tail === undefined) return undefined
  return {
    name,
    topicId: log.topicId,
    logStartOffset: log.logStartOffset,
    endOffset: log.endOffset,
    epochs: log.epochs.encode(),
    snapshotOffset: log.snapshotOffset ?? NO_OFFSET,
    producers: log.producers.size === 0 ? Buffer.alloc(0) : encodeProducerSnapshot(log.producers),
    segments: log.segments.map(({ baseOffset, size, index, timeIndex, aborted }) => ({
      baseOffset,
      bytes: size,
      indexEntries: index.count,
      timeIndexEntries: timeIndex.count,
      abortedEntries: aborted.count,
    })),
    newestTimestamp: tail.newest.timestamp,
    newestOffset: tail.newest.offset,
    lastTimeEntry: tail.lastTimeEntry,
    hasFirstTimestamp: tail.firstTimestamp !== undefined,
    firstTimestamp: tail.firstTimestamp ?? NO_OFFSET,
    bytesSinceEntry: tail.bytesSinceEntry,
  }
}

const NO_TAIL = { newest: { timestamp: -1n, offset: -1n }, lastTimeEntry: -1n, firstTimestamp: undefined, bytesSinceEntry: 0 }

/** By name of the log. Throws DecodeError, or Error, where the file is not what was written. */
export function decodeManifest(manifest: Buffer): Map<string, ManifestLog> {
  const reader = new Reader(manifest)
  const version = reader.int16()
  if (version !== VERSION) throw new DecodeError(`a manifest of version ${version}, only ${VERSION} is known`)
  if (reader.uint32() !== crc32c(manifest.subarray(PREFIX_SIZE))) throw new DecodeError('the checksum does not match')
  return new Map(CleanManifest.decode(reader, VERSION).logs.map((log) => [log.name, log]))
}

/** The log as it was shut down, in `directory`. Throws DecodeError, or Error, where the manifest holds what was never written. */
export function loadFromManifest(entry: ManifestLog, storage: SegmentStorage, directory: string, nowMs: number): LoadedLog {
  const segments = entry.segments.map(
    ({ baseOffset, ...sizes }) => new Segment(storage, directory, baseOffset, { sizes, wallMs: nowMs }),
  )
  segments.at(-1)?.resume({
    newest: { timestamp: entry.newestTimestamp, offset: entry.newestOffset },
    lastTimeEntry: entry.lastTimeEntry,
    firstTimestamp: entry.hasFirstTimestamp ? entry.firstTimestamp : undefined,
    bytesSinceEntry: entry.bytesSinceEntry,
  })
  return {
    topicId: entry.topicId,
    segments,
    logStartOffset: entry.logStartOffset,
    endOffset: entry.endOffset,
    epochs: LeaderEpochs.decode(entry.name, entry.epochs),
    producers: entry.producers.length === 0 ? new ProducerState() : decodeProducerSnapshot(entry.producers, nowMs),
    snapshotOffset: entry.snapshotOffset === NO_OFFSET ? undefined : entry.snapshotOffset,
    damage: undefined,
  }
}
