// A copy of all logs as they are at one moment, while they go on. The moment is one turn of the event loop, so that no log is ahead of
// another: a committed offset never points behind the data, and a transaction is open or ended everywhere. The copy is a log directory as a
// power cut at that moment would leave it, had everything reached the disk; opening it is a recovery. docs/decisions/0007-backup.md.

import { type Disk, DiskError } from '../host/disk.ts'
import { encodeOffsetCheckpoint } from './checkpoint-file.ts'
import type { DelayedRemoval } from './delayed-removal.ts'
import {
  CLEANER_CHECKPOINT,
  EPOCH_CHECKPOINT,
  HIGH_WATERMARK_CHECKPOINT,
  LOG_START_CHECKPOINT,
  PARTITION_METADATA,
  RECOVERY_POINT_CHECKPOINT,
  type SegmentSuffix,
  segmentFileName,
} from './file-names.ts'
import type { PartitionLog } from './partition-log.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { Segment } from './segment.ts'

/** Copied at a time. */
const CHUNK_BYTES = 1024 * 1024
/** A file may be renamed between the look at its name and its opening: each segment is, twice at most. */
const TRIES = 4

interface LogCut {
  readonly log: PartitionLog
  readonly segments: readonly { readonly segment: Segment; readonly size: number }[]
  readonly logStartOffset: bigint
  readonly endOffset: bigint
  readonly cleanedOffset: bigint
  readonly epochs: Buffer
  readonly producers: Buffer
}

export interface BackupResult {
  readonly logs: number
  readonly bytes: number
}

export interface Backup {
  /** Into an empty directory. Rejects with DiskError, or KafkaError where a log has failed: then the copy is worth nothing. */
  copyTo(directory: string): Promise<BackupResult>
}

/** Notes where all logs are, at once. Files that the logs give up stay until the copy has been made. */
export function takeBackup(disk: Disk, removal: DelayedRemoval, logs: Iterable<PartitionLog>): Backup {
  const cuts = Array.from(logs, cutOf)
  const release = removal.hold()
  return {
    async copyTo(directory) {
      try {
        return await new Copy(disk, directory).run(cuts)
      } finally {
        release()
      }
    },
  }
}

function cutOf(log: PartitionLog): LogCut {
  if (log.failed !== undefined) throw log.failed
  const { logStartOffset, endOffset, cleanedOffset } = log
  return {
    log,
    segments: log.segments.map((segment) => ({ segment, size: segment.size })),
    logStartOffset,
    endOffset,
    cleanedOffset,
    epochs: log.state.epochs.encode(),
    producers: encodeProducerSnapshot(log.producers),
  }
}

class Copy {
  private readonly disk: Disk
  private readonly directory: string
  private bytes = 0

  constructor(disk: Disk, directory: string) {
    this.disk = disk
    this.directory = directory
  }

  async run(cuts: readonly LogCut[]): Promise<BackupResult> {
    for (const cut of cuts) await this.copyLog(cut)
    const checkpoint = (name: string, offsetOf: (cut: LogCut) => bigint) => {
      const entries = cuts.map((cut) => ({ topic: cut.log.topic, partition: cut.log.partition, offset: offsetOf(cut) }))
      return this.disk.replaceFile(`${this.directory}/${name}`, encodeOffsetCheckpoint(entries))
    }
    // All of it is on the disk.
    await checkpoint(RECOVERY_POINT_CHECKPOINT, ({ endOffset }) => endOffset)
    await checkpoint(HIGH_WATERMARK_CHECKPOINT, ({ endOffset }) => endOffset)
    await checkpoint(LOG_START_CHECKPOINT, ({ logStartOffset }) => logStartOffset)
    await checkpoint(CLEANER_CHECKPOINT, ({ cleanedOffset }) => cleanedOffset)
    return { logs: cuts.length, bytes: this.bytes }
  }

  private async copyLog(cut: LogCut): Promise<void> {
    const { log, segments, endOffset } = cut
    const target = `${this.directory}/${log.name}`
    await this.disk.makeDirectory(target)
    const write = (name: string, contents: Buffer) => this.disk.replaceFile(`${target}/${name}`, contents)
    await write(PARTITION_METADATA, Buffer.from(`version: 0\ntopic_id: ${log.topicId}\n`))
    await write(EPOCH_CHECKPOINT, cut.epochs)
    await write(segmentFileName(endOffset, '.snapshot'), cut.producers)
    // What was appended by then gets into the files.
    if (log.failed === undefined) await log.flush()
    for (const [i, { segment, size }] of segments.entries()) {
      if (size > 0) await this.copyFile(cut, segment, '.log', size)
      else await write(segmentFileName(segment.baseOffset, '.log'), Buffer.alloc(0))
      if (i < segments.length - 1) await this.copyIndexes(cut, segment)
      // From here on the recovery of the copy reads headers.
      else if (segment.baseOffset < endOffset) await this.copyIfThere(cut, segment, '.snapshot')
    }
    await this.disk.syncDirectory(target)
    await this.disk.syncDirectory(this.directory)
  }

  /** Those of a complete segment; if one is not complete yet, the copy's recovery makes it. */
  private async copyIndexes(cut: LogCut, segment: Segment): Promise<void> {
    for (const [suffix, size] of [
      ['.index', segment.index.sizeBytes],
      ['.timeindex', segment.timeIndex.sizeBytes],
    ] as const) {
      if ((await this.sizeOf(cut, segment, suffix)) === size) await this.copyFile(cut, segment, suffix, size)
    }
    await this.copyIfThere(cut, segment, '.txnindex')
  }

  private async copyIfThere(cut: LogCut, segment: Segment, suffix: SegmentSuffix): Promise<void> {
    const size = await this.sizeOf(cut, segment, suffix)
    if (size !== undefined) await this.copyFile(cut, segment, suffix, size)
  }

  private async sizeOf(cut: LogCut, segment: Segment, suffix: SegmentSuffix): Promise<number | undefined> {
    try {
      return await this.whereItIs(cut, segment, suffix, (path) => this.disk.fileSize(path))
    } catch (error) {
      if (error instanceof DiskError && error.code === 'ENOENT') return undefined
      throw error
    }
  }

  private async copyFile(cut: LogCut, segment: Segment, suffix: SegmentSuffix, size: number): Promise<void> {
    const from = await this.whereItIs(cut, segment, suffix, (path) => this.disk.open(path, 'read'))
    try {
      const to = await this.disk.open(`${this.directory}/${cut.log.name}/${segmentFileName(segment.baseOffset, suffix)}`, 'write')
      try {
        const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(size, 1)))
        for (let position = 0; position < size; ) {
          const piece = chunk.subarray(0, Math.min(chunk.length, size - position))
          const count = await from.read(piece, position)
          // Cut off meanwhile, by a disk that was full.
          if (count < piece.length)
            throw new DiskError('EIO', from.path, `${from.path}: ends at ${position + count}, not at ${size}`)
          await to.write([piece], position)
          position += count
        }
        await to.sync()
      } finally {
        await to.close()
      }
    } finally {
      await from.close()
    }
    this.bytes += size
  }

  /** Files of segments and directories of topics that have gone meanwhile have other names. */
  private async whereItIs<T>(
    { log }: LogCut,
    segment: Segment,
    suffix: SegmentSuffix,
    work: (path: string) => Promise<T>,
  ): Promise<T> {
    for (let left = TRIES; ; left--) {
      const path = segment.path(suffix)
      try {
        return await work(log.path + path.slice(path.lastIndexOf('/')))
      } catch (error) {
        if (left === 0 || !(error instanceof DiskError) || error.code !== 'ENOENT') throw error
      }
    }
  }
}
