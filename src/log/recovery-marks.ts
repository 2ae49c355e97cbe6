// Marks from which a recovery can go on within a segment: at some offset the indexes of the active segment are synced, and then a
// producer snapshot is written whose name says the offset. Without marks a recovery would have to read every batch header of the
// segment that holds the recovery point, and index it anew. Where no mark is due, index entries that memory holds back go to their
// files, unsynced: whoever looks at the files of a running broker, as Kafka's tools do, finds them.

import { type Disk, DiskError } from '../host/disk.ts'
import { segmentFileName } from './file-names.ts'
import type { PartitionLog } from './partition-log.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import { type Segment, writeUnsynced } from './segment.ts'
import { isDiskFull } from './storage-error.ts'

/** Of log between two marks: two syncs of indexes are little beside the syncs of so much, and so much is read in milliseconds. */
const MARK_EVERY_BYTES = 4 * 1024 * 1024

interface Mark {
  readonly segment: Segment
  readonly offset: bigint
  readonly size: number
}

export class RecoveryMarks {
  private readonly disk: Disk
  private readonly everyBytes: number
  private readonly marks = new WeakMap<PartitionLog, Mark>()

  constructor(disk: Disk, everyBytes = MARK_EVERY_BYTES) {
    this.disk = disk
    this.everyBytes = everyBytes
  }

  /** Leaves a mark if the log has grown enough since the last one, or saves its indexes. Rejects with DiskError, KafkaError. */
  async update(log: PartitionLog): Promise<void> {
    const isDue = this.isDue(log)
    if (!isDue && log.segments.at(-1)?.hasUnsavedIndexes !== true) return
    try {
      await log.changes.take(() => (isDue ? this.mark(log) : this.saveIndexes(log)))
    } catch (error) {
      // A log that is deleted or fails meanwhile has said so itself.
      if (log.failed !== undefined) return
      // What a failed sync has lost no later one brings back. A full disk has lost nothing.
      if (error instanceof DiskError && !isDiskFull(error)) log.logDirectory.fail(error)
      throw error
    }
  }

  private isDue(log: PartitionLog): boolean {
    const active = log.segments.at(-1)
    // Under `os` the recovery point lies where the segment begins, or far back.
    if (active === undefined || log.failed !== undefined || log.config.flushPolicy === 'os') return false
    const last = this.marks.get(log)
    return active.size - (last?.segment === active ? last.size : 0) >= this.everyBytes
  }

  private async saveIndexes(log: PartitionLog): Promise<void> {
    if (log.failed === undefined) await log.segments.at(-1)?.saveIndexes()
  }

  private async mark(log: PartitionLog): Promise<void> {
    if (!this.isDue(log)) return
    const active = log.segments[log.segments.length - 1]
    const { endOffset: offset } = log
    const { size } = active
    // What is newest up to here must be found by those who begin here.
    active.seal()
    const snapshot = encodeProducerSnapshot(log.producers)
    await log.flush()
    // Sealed meanwhile: whoever begins the next segment leaves a snapshot there.
    if (log.segments.at(-1) !== active || log.failed !== undefined) return
    await active.syncIndexes()
    await writeUnsynced(this.disk, this.path(log, offset), snapshot)
    const last = this.marks.get(log)
    this.marks.set(log, { segment: active, offset, size })
    if (last !== undefined && last.segment.baseOffset < last.offset && last.offset < offset) {
      await this.disk.remove(this.path(log, last.offset))
    }
  }

  private path(log: PartitionLog, offset: bigint): string {
    return `${log.path}/${segmentFileName(offset, '.snapshot')}`
  }
}
