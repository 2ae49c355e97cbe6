// One stretch of a log: a file of batches, its indexes, and what is known of them. Knows its files, not its log.

import type { Disk } from '../host/disk.ts'
import { lastOffset, maxTimestamp, recordCount } from '../protocol/records/batch-header.ts'
import { NO_TIMESTAMP } from '../protocol/records/record.ts'
import { ABORTED_ENTRY_SIZE, AbortedIndex } from './aborted-index.ts'
import { DELETED_SUFFIX, type SegmentSuffix, segmentFileName } from './file-names.ts'
import type { FilePool } from './file-pool.ts'
import { offsetIndexLayout, SparseIndex, timeIndexLayout } from './sparse-index.ts'

/** What the files of a segment live on. */
export interface SegmentStorage {
  readonly disk: Disk
  readonly pool: FilePool
}

export interface SegmentSizes {
  readonly bytes: number
  readonly indexEntries: number
  readonly timeIndexEntries: number
  readonly abortedEntries: number
}

/** Offsets and positions in an index are 32 bits, signed. */
const INT32_MAX = 0x7fffffff
const FILES: readonly SegmentSuffix[] = ['.snapshot', '.txnindex', '.timeindex', '.index', '.log']

/** The newest timestamp of a segment, and the last offset of the first batch that has it. */
export interface Newest {
  readonly timestamp: bigint
  readonly offset: bigint
}

interface MarkOptions {
  readonly except?: readonly SegmentSuffix[]
  readonly afterLog?: () => Promise<void>
}

/** What goes on at the end of a segment that is appended to, and its files do not say. */
export interface SegmentTail {
  readonly newest: Newest
  /** The timestamp of the last entry of the time index. */
  readonly lastTimeEntry: bigint
  readonly firstTimestamp: bigint | undefined
  readonly bytesSinceEntry: number
}

/** Of the newest record of a batch. Where compaction has left none, the header still has the time of those there were. */
export function newestTimestamp(header: Buffer, at: number): bigint {
  return recordCount(header, at) === 0 ? NO_TIMESTAMP : maxTimestamp(header, at)
}

const NOTHING_NEW: Newest = { timestamp: NO_TIMESTAMP, offset: -1n }

export class Segment {
  readonly directory: string
  readonly baseOffset: bigint
  readonly index: SparseIndex<number>
  readonly timeIndex: SparseIndex<bigint>
  readonly aborted: AbortedIndex
  /** Wall time from which the age of a segment counts whose records have no timestamps. */
  readonly openedMs: number
  /** Taken off `segment.ms`, so that logs do not all roll at once. */
  readonly jitterMs: number
  /** Bytes appended. The file has `writtenSize` of them. */
  size: number
  writtenSize: number
  /** Of the first batch: what `segment.ms` counts from. */
  firstTimestamp: bigint | undefined
  /** Deleted for the log's purposes; its files have their last name. */
  deleted = false
  /** What the producers were when the segment began, until it is written: what a recovery from here on needs to know. */
  producerSnapshot: Buffer | undefined
  private readonly storage: SegmentStorage
  /** Undefined: as the last entry of the time index says, which is complete for a sealed segment. */
  private knownNewest: Newest | undefined
  /** Undefined until the first append after loading. */
  private lastTimeEntry: bigint | undefined
  private bytesSinceEntry = 0
  /** Behind the names of all files: of a segment that is being made, or has been deleted. */
  private suffix: string
  /** Made once: each write and each read asks for the file by its name. */
  private logPath: string

  constructor(
    storage: SegmentStorage,
    directory: string,
    baseOffset: bigint,
    opened: { sizes?: SegmentSizes; wallMs: number; jitterMs?: number; suffix?: string },
  ) {
    const sizes = opened.sizes
    this.storage = storage
    this.directory = directory
    this.baseOffset = baseOffset
    this.suffix = opened.suffix ?? ''
    this.logPath = this.path('.log')
    this.index = new SparseIndex(storage.pool, this.path('.index'), offsetIndexLayout, sizes?.indexEntries ?? 0)
    this.timeIndex = new SparseIndex(storage.pool, this.path('.timeindex'), timeIndexLayout, sizes?.timeIndexEntries ?? 0)
    this.aborted = new AbortedIndex(storage.disk, storage.pool, this.path('.txnindex'), sizes?.abortedEntries ?? 0)
    this.openedMs = opened.wallMs
    this.jitterMs = opened.jitterMs ?? 0
    this.size = sizes?.bytes ?? 0
    this.writtenSize = this.size
    if (sizes === undefined) {
      this.knownNewest = NOTHING_NEW
      this.lastTimeEntry = NO_TIMESTAMP
    }
  }

  path(suffix: SegmentSuffix): string {
    return `${this.directory}/${segmentFileName(this.baseOffset, suffix)}${this.suffix}`
  }

  /** Whether a batch fits that ends at `last`. */
  takes(last: bigint, bytes: number, segmentBytes: number, segmentIndexBytes: number): boolean {
    if (last - this.baseOffset > INT32_MAX) return false
    if (this.size === 0) return true
    if (this.size + bytes > segmentBytes) return false
    return this.index.sizeBytes + 8 <= segmentIndexBytes && this.timeIndex.sizeBytes + 12 <= segmentIndexBytes
  }

  /** A batch is about to be written at the end. Its header stands in `header` at `at`. */
  account(header: Buffer, at: number, bytes: number, indexIntervalBytes: number): void {
    const last = lastOffset(header, at)
    const timestamp = newestTimestamp(header, at)
    const newest = this.knownNewest ?? NOTHING_NEW
    if (timestamp > newest.timestamp) this.knownNewest = { timestamp, offset: last }
    if (this.size === 0) this.firstTimestamp = timestamp
    if (this.bytesSinceEntry > indexIntervalBytes) {
      this.index.add(this.relative(last), this.size)
      this.addTimeEntry()
      this.bytesSinceEntry = 0
    }
    this.bytesSinceEntry += bytes
    this.size += bytes
  }

  /** After loading a segment that is to be appended to: what its files do not tell by themselves. */
  async becomeActive(found: { newest: Newest; firstTimestamp: bigint | undefined; bytesSinceEntry: number }): Promise<void> {
    const indexed = await this.timeIndex.last()
    this.lastTimeEntry = indexed?.key ?? NO_TIMESTAMP
    const indexedNewest = indexed && { timestamp: indexed.key, offset: this.baseOffset + BigInt(indexed.value) }
    this.knownNewest =
      indexedNewest !== undefined && indexedNewest.timestamp >= found.newest.timestamp ? indexedNewest : found.newest
    this.firstTimestamp = found.firstTimestamp
    this.bytesSinceEntry = found.bytesSinceEntry
  }

  /** Undefined of a segment that is not appended to. */
  get tail(): SegmentTail | undefined {
    const { knownNewest: newest, lastTimeEntry, firstTimestamp, bytesSinceEntry } = this
    return newest && lastTimeEntry !== undefined ? { newest, lastTimeEntry, firstTimestamp, bytesSinceEntry } : undefined
  }

  /** Goes on where `tail` was taken. */
  resume(tail: SegmentTail): void {
    this.knownNewest = tail.newest
    this.lastTimeEntry = tail.lastTimeEntry
    this.firstTimestamp = tail.firstTimestamp
    this.bytesSinceEntry = tail.bytesSinceEntry
  }

  async newest(): Promise<Newest> {
    if (this.knownNewest === undefined) {
      const entry = await this.timeIndex.last()
      this.knownNewest =
        entry === undefined ? NOTHING_NEW : { timestamp: entry.key, offset: this.baseOffset + BigInt(entry.value) }
    }
    return this.knownNewest
  }

  /** The position of some batch at or in front of the one that holds `offset`, at most an index interval away. */
  async positionBelow(offset: bigint): Promise<number> {
    const relative = offset - this.baseOffset
    if (relative <= 0n) return 0
    const entry = await this.index.floor(relative > INT32_MAX ? INT32_MAX : Number(relative))
    return entry?.value ?? 0
  }

  /** The position of a batch behind which the first one lies that reaches `timestamp`. */
  async positionBelowTimestamp(timestamp: bigint): Promise<number> {
    const entry = await this.timeIndex.floor(timestamp)
    return entry === undefined ? 0 : this.positionBelow(this.baseOffset + BigInt(entry.value))
  }

  /** Not synced: it carries a checksum, and what is lost is found by reading more of the log. */
  async writeSnapshot(): Promise<void> {
    const snapshot = this.producerSnapshot
    if (snapshot === undefined) return
    this.producerSnapshot = undefined
    await writeUnsynced(this.storage.disk, this.path('.snapshot'), snapshot)
  }

  /** The indexes are completed, as of now: nothing more will be appended, or somebody will begin here. */
  seal(): void {
    this.addTimeEntry()
  }

  /** Whether the files have the sizes that they should have. Rejects with DiskError. */
  async fitsFiles(): Promise<boolean> {
    const { disk } = this.storage
    if ((await disk.fileSize(this.path('.log'))) !== this.size) return false
    if ((await disk.fileSize(this.path('.index'))) !== this.index.sizeBytes) return false
    if ((await disk.fileSize(this.path('.timeindex'))) !== this.timeIndex.sizeBytes) return false
    const { count } = this.aborted
    return count === 0 || (await disk.fileSize(this.path('.txnindex'))) === count * ABORTED_ENTRY_SIZE
  }

  /** Brings the empty files into being. */
  async create(): Promise<void> {
    await this.write([], 0)
    await this.saveIndexes()
  }

  get shouldSaveIndexes(): boolean {
    return this.index.shouldSave || this.timeIndex.shouldSave || this.aborted.shouldSave
  }

  get hasUnsavedIndexes(): boolean {
    return this.index.hasUnsaved || this.timeIndex.hasUnsaved || this.aborted.hasUnsaved
  }

  /** The offset index last: where it is, the others are, and what it lacks only makes searches longer. */
  async saveIndexes(): Promise<void> {
    await this.timeIndex.save()
    await this.aborted.save()
    await this.index.save()
  }

  /** In the same order. */
  async syncIndexes(): Promise<void> {
    await this.timeIndex.sync()
    await this.aborted.sync()
    await this.index.sync()
  }

  sync(): Promise<void> {
    return this.storage.pool.use(this.logPath, 'write', (file) => file.sync())
  }

  write(chunks: readonly Buffer[], position: number): Promise<void> {
    return this.storage.pool.use(this.logPath, 'write', (file) => file.write(chunks, position))
  }

  /** Fewer bytes than asked for only where the file ends. */
  read(position: number, length: number): Promise<Buffer> {
    return this.readInto(Buffer.allocUnsafeSlow(length), position)
  }

  /** The part of `target` that was filled: all of it, unless the file ends before. */
  async readInto(target: Buffer, position: number): Promise<Buffer> {
    const count = await this.storage.pool.use(this.logPath, 'read', (file) => file.read(target, position))
    return count === target.length ? target : target.subarray(0, count)
  }

  /** Cuts the file and forgets the index entries that point behind it; what is known of the rest must be found anew. */
  async truncate(position: number, endOffset: bigint): Promise<void> {
    await this.storage.pool.use(this.path('.log'), 'write', async (file) => {
      await file.truncate(position)
      await file.sync()
    })
    const relative = endOffset - this.baseOffset
    // Entries are keyed by last offsets, which all lie below the end.
    await this.index.keep(await this.index.countUpTo(Number(relative) - 1))
    await this.keepTimeEntriesBelow(endOffset)
    await this.aborted.keepBelow(endOffset)
    this.size = position
    this.writtenSize = position
  }

  /** Of the entries that the index files hold, keeps those of batches below `endOffset`, up to the first that is out of order. */
  async keepIndexesBelow(endOffset: bigint): Promise<void> {
    const relative = Number(endOffset - this.baseOffset)
    await this.index.keepSound(({ key, value }) => key < relative && value < this.size)
    await this.timeIndex.keepSound(({ value }) => value < relative)
    await this.aborted.keepBelow(endOffset)
  }

  /** Entries ascend in both columns, so the last ones are looked at one by one: a truncation seldom cuts far. */
  private async keepTimeEntriesBelow(endOffset: bigint): Promise<void> {
    const relative = Number(endOffset - this.baseOffset)
    for (
      let last = await this.timeIndex.last();
      last !== undefined && last.value >= relative;
      last = await this.timeIndex.last()
    ) {
      await this.timeIndex.keep(this.timeIndex.count - 1)
    }
  }

  /**
   * Renames the files, so that a crash cannot bring the segment back, nor a reader lose what it is reading. The log first, and `afterLog`
   * behind it: a log without its index of aborted transactions would look like one that has none.
   */
  async markDeleted({ except = [], afterLog }: MarkOptions = {}): Promise<void> {
    this.deleted = true
    await this.rename('.log', DELETED_SUFFIX)
    await afterLog?.()
    await this.changeSuffix(DELETED_SUFFIX, { except: [...except, '.log'] })
  }

  /** The log last: without it the other files are strays, and with it they are all there. */
  async changeSuffix(
    suffix: string,
    { except = [], beforeLog }: { except?: readonly SegmentSuffix[]; beforeLog?: () => Promise<void> } = {},
  ): Promise<void> {
    for (const file of FILES) {
      if (except.includes(file)) continue
      if (file === '.log') await beforeLog?.()
      await this.rename(file, suffix)
    }
    this.suffix = suffix
    this.logPath = this.path('.log')
    this.index.path = this.path('.index')
    this.timeIndex.path = this.path('.timeindex')
    this.aborted.path = this.path('.txnindex')
  }

  private async rename(file: SegmentSuffix, suffix: string): Promise<void> {
    const { disk, pool } = this.storage
    const path = this.path(file)
    const renamed = path.slice(0, path.length - this.suffix.length) + suffix
    pool.forget(path)
    pool.forget(renamed)
    if (await disk.exists(path)) await disk.rename(path, renamed)
  }

  async removeFiles(): Promise<void> {
    for (const suffix of FILES) {
      const path = this.path(suffix)
      this.storage.pool.forget(path)
      await this.storage.disk.remove(path)
    }
  }

  forgetFiles(): void {
    for (const suffix of FILES) this.storage.pool.forget(this.path(suffix))
  }

  private relative(offset: bigint): number {
    return Number(offset - this.baseOffset)
  }

  private addTimeEntry(): void {
    const newest = this.knownNewest
    if (newest === undefined || this.lastTimeEntry === undefined || newest.timestamp <= this.lastTimeEntry) return
    this.timeIndex.add(newest.timestamp, this.relative(newest.offset))
    this.lastTimeEntry = newest.timestamp
  }
}

/** Writes a whole file. Whether all of it survives a power cut must not matter. */
export async function writeUnsynced(disk: Disk, path: string, contents: Buffer): Promise<void> {
  const file = await disk.open(path, 'write')
  try {
    await file.truncate(0)
    await file.write([contents], 0)
  } finally {
    await file.close()
  }
}
