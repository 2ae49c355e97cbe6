// Brings one log from its directory into memory. After a clean shutdown little is read. After any other end, everything behind
// the recovery point is scanned, and cut at the first bad batch. What lies in front of it was synced, so its contents are
// believed until somebody reads them; of its headers, no more is read than producer state and indexes are to be had from.

import type { Disk } from '../host/disk.ts'
import { ZERO_UUID } from '../protocol/ids.ts'
import { baseOffset, lastOffset, leaderEpoch } from '../protocol/records/batch-header.ts'
import { ABORTED_ENTRY_SIZE, type AbortedTransaction } from './aborted-index.ts'
import { activate, headersOf } from './activate-segment.ts'
import { scanBatches } from './batch-scan.ts'
import { readIfPresent } from './checkpoint-file.ts'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  EPOCH_CHECKPOINT,
  PARTITION_METADATA,
  parseSegmentFileName,
  type SegmentSuffix,
  SWAP_SUFFIX,
  segmentFileName,
  TEMPORARY_SUFFIX,
} from './file-names.ts'
import type { FilePool } from './file-pool.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import type { Report } from './log-event.ts'
import { loadProducerState, visitHeaders } from './producer-recovery.ts'
import { encodeProducerSnapshot, isProducerSnapshot } from './producer-snapshot.ts'
import { ProducerState } from './producer-state.ts'
import { Segment, writeUnsynced } from './segment.ts'

export interface LoadOptions {
  readonly disk: Disk
  readonly pool: FilePool
  readonly directory: string
  readonly topic: string
  readonly partition: number
  readonly config: LogConfig
  /** Undefined: nothing is known to be synced. */
  readonly recoveryPoint: bigint | undefined
  readonly logStartOffset: bigint | undefined
  readonly cleanShutdown: boolean
  readonly nowMs: number
  readonly report: Report
}

export interface LoadedLog {
  readonly topicId: string
  readonly segments: readonly Segment[]
  readonly logStartOffset: bigint
  readonly endOffset: bigint
  readonly epochs: LeaderEpochs
  readonly producers: ProducerState
  /** Of a producer snapshot that says all there is to say. */
  readonly snapshotOffset: bigint | undefined
  /** Synced data is damaged: the log must not be served. */
  readonly damage: string | undefined
}

/** A segment as it was when the log ended at `offset`; what the producers were then is in a snapshot. */
interface Mark {
  readonly offset: bigint
  readonly segment: Segment
}

class Damage extends Error {
  readonly file: string
  readonly position: number

  constructor(file: string, position: number, reason: string) {
    super(reason)
    this.file = file
    this.position = position
  }
}

/** Rejects with DiskError where the disk fails. What is found in the files is never an error, but part of the answer. */
export async function loadLog(options: LoadOptions): Promise<LoadedLog> {
  return new Loader(options).load()
}

class Loader {
  private readonly options: LoadOptions
  /** Sizes by file name. */
  private readonly sizes = new Map<string, number>()
  private names = new Set<string>()
  private segments: Segment[] = []
  private epochs = new LeaderEpochs()
  private producers = new ProducerState()
  private endOffset = 0n
  private snapshotOffset: bigint | undefined
  private unsyncedNames = false

  constructor(options: LoadOptions) {
    this.options = options
  }

  async load(): Promise<LoadedLog> {
    const { disk, directory } = this.options
    const entries = await disk.list(directory)
    this.names = new Set(entries.map(({ name }) => name))
    await this.completeSwaps()
    await this.removeLeftovers()
    const topicId = await this.readTopicId()
    const epochsKnown = await this.readEpochs()
    await this.findSegments()
    let damage: string | undefined
    try {
      await this.loadSegments(epochsKnown)
    } catch (error) {
      if (!(error instanceof Damage)) throw error
      const { topic, partition, report } = this.options
      report({ event: 'log-failed', topic, partition, file: error.file, position: error.position, reason: error.message })
      damage = `${error.file} is damaged at position ${error.position}: ${error.message}`
    }
    const first = this.segments[0]?.baseOffset ?? this.endOffset
    const stored = this.options.logStartOffset ?? 0n
    // A start beyond the end: more was lost than deleted.
    const logStartOffset = stored > this.endOffset ? this.endOffset : stored > first ? stored : first
    if (damage === undefined && this.epochs.truncateFromStart(logStartOffset)) await this.saveEpochs()
    return {
      topicId,
      segments: this.segments,
      logStartOffset,
      endOffset: this.endOffset,
      epochs: this.epochs,
      producers: this.producers,
      snapshotOffset: this.snapshotOffset,
      damage,
    }
  }

  private path(name: string): string {
    return `${this.options.directory}/${name}`
  }

  /** What a deletion, a cleaning or a replacement left when it was cut short. */
  private async removeLeftovers(): Promise<void> {
    const suffixes = [DELETED_SUFFIX, CLEANED_SUFFIX, TEMPORARY_SUFFIX]
    for (const name of this.names) {
      if (!suffixes.some((suffix) => name.endsWith(suffix))) continue
      await this.removeFile(name)
    }
  }

  /** A cleaned segment whose log has its new name is complete, and on the disk: it takes the place of those that it was made from. */
  private async completeSwaps(): Promise<void> {
    const { disk, pool, directory } = this.options
    const swaps = [...this.names].filter((name) => name.endsWith(SWAP_SUFFIX))
    for (const name of swaps.filter((name) => name.endsWith(`.log${SWAP_SUFFIX}`))) {
      const base = BigInt(name.slice(0, 20))
      const size = await disk.fileSize(this.path(name))
      let end = base
      await pool.use(this.path(name), 'read', (file) =>
        scanBatches(file, {
          from: 0,
          to: size,
          checkCrc: false,
          minOffset: base,
          visit(header, at) {
            end = lastOffset(header, at) + 1n
            return true
          },
        }),
      )
      pool.forget(this.path(name))
      for (const other of [...this.names]) {
        const parsed = parseSegmentFileName(other)
        if (parsed === undefined) continue
        const isPartOfIt = parsed.baseOffset > base && parsed.baseOffset < end
        // Of its indexes any may have been left behind: they are made anew.
        const isIndex = parsed.baseOffset === base && parsed.suffix !== '.log' && parsed.suffix !== '.snapshot'
        if (isPartOfIt || isIndex) await this.removeFile(other)
      }
      // The others must not come back beside it.
      await disk.syncDirectory(directory)
      await disk.rename(this.path(name), this.path(segmentFileName(base, '.log')))
      this.names.delete(name)
      this.names.add(segmentFileName(base, '.log'))
      this.unsyncedNames = true
    }
    // Its indexes, or those of a log that did not get that far.
    for (const name of swaps) if (this.names.has(name)) await this.removeFile(name)
  }

  private async removeFile(name: string): Promise<void> {
    await this.options.disk.remove(this.path(name))
    this.names.delete(name)
  }

  private async readTopicId(): Promise<string> {
    const contents = await readIfPresent(this.options.disk, this.path(PARTITION_METADATA))
    return /^topic_id: *([A-Za-z0-9_-]{22})\s*$/m.exec(contents?.toString('utf8') ?? '')?.[1] ?? ZERO_UUID
  }

  private async readEpochs(): Promise<boolean> {
    const contents = await readIfPresent(this.options.disk, this.path(EPOCH_CHECKPOINT))
    if (contents === undefined) return false
    try {
      this.epochs = LeaderEpochs.decode(EPOCH_CHECKPOINT, contents)
      return true
    } catch {
      return false
    }
  }

  private saveEpochs(): Promise<void> {
    return this.options.disk.replaceFile(this.path(EPOCH_CHECKPOINT), this.epochs.encode())
  }

  private async findSegments(): Promise<void> {
    const bases = [...this.names]
      .map((name) => parseSegmentFileName(name))
      .filter((parsed) => parsed?.suffix === '.log')
      .map((parsed) => parsed!.baseOffset)
      .sort((a, b) => (a < b ? -1 : 1))
    for (const name of [...this.names]) {
      const parsed = parseSegmentFileName(name)
      if (parsed === undefined || parsed.suffix === '.snapshot' || bases.includes(parsed.baseOffset)) continue
      // The index of a segment that was being deleted.
      await this.removeFile(name)
    }
    for (const base of bases) {
      const bytes = (await this.sizeOf(base, '.log')) ?? 0
      const index = await this.sizeOf(base, '.index')
      const timeIndex = await this.sizeOf(base, '.timeindex')
      const aborted = await this.sizeOf(base, '.txnindex')
      this.segments.push(this.segment(base, bytes, index ?? 0, timeIndex ?? 0, aborted ?? 0))
    }
  }

  private async sizeOf(base: bigint, suffix: SegmentSuffix): Promise<number | undefined> {
    const name = segmentFileName(base, suffix)
    if (!this.names.has(name)) return undefined
    const size = await this.options.disk.fileSize(this.path(name))
    this.sizes.set(name, size)
    return size
  }

  /** Sizes are of the files, in bytes. */
  private segment(base: bigint, bytes: number, index: number, timeIndex: number, aborted: number): Segment {
    const sizes = {
      bytes,
      indexEntries: Math.floor(index / 8),
      timeIndexEntries: Math.floor(timeIndex / 12),
      abortedEntries: Math.floor(aborted / ABORTED_ENTRY_SIZE),
    }
    return new Segment(this.options, this.options.directory, base, { sizes, wallMs: this.options.nowMs })
  }

  private async loadSegments(epochsKnown: boolean): Promise<void> {
    const { recoveryPoint, cleanShutdown, topic, partition, report } = this.options
    if (this.segments.length === 0) {
      this.endOffset = this.options.logStartOffset ?? 0n
      this.epochs.truncateFromEnd(this.endOffset)
      // Whoever made it may have come no further than this.
      await this.options.disk.syncDirectory(this.options.directory)
      return
    }
    const known = this.epochs.encode()
    if (!epochsKnown) await this.rebuildEpochs()
    let scanFrom = this.segments.length - 1
    let clean = cleanShutdown
    if (clean) {
      const read = await this.readActive()
      clean = read && (recoveryPoint === undefined || recoveryPoint === this.endOffset)
    }
    if (!clean) {
      const point = recoveryPoint ?? 0n
      scanFrom = Math.max(
        0,
        // Not the one that begins there: the indexes of the one before are synced later than its data.
        this.segments.findLastIndex((segment) => segment.baseOffset < point),
      )
    }
    for (let i = 0; i < scanFrom; i++) await this.requireIndexes(i)
    if (clean) await this.loadProducers(this.endOffset)
    else {
      const marked = await this.findMark(this.segments[scanFrom], recoveryPoint ?? 0n)
      await this.loadProducers(marked?.offset ?? this.segments[scanFrom].baseOffset)
      await this.scan(scanFrom, recoveryPoint ?? 0n, marked)
      if (recoveryPoint !== undefined && this.endOffset < recoveryPoint) {
        report({ event: 'log-shorter-than-synced', topic, partition, endOffset: this.endOffset, recoveryPoint })
      }
    }
    this.epochs.truncateFromEnd(this.endOffset)
    if (!epochsKnown || !known.equals(this.epochs.encode())) await this.saveEpochs()
    await this.removeStraySnapshots()
    if (this.unsyncedNames) await this.options.disk.syncDirectory(this.options.directory)
    // After a scan there is more to be written down at the next shutdown than what has been appended.
    if (!clean) this.snapshotOffset = undefined
  }

  // ── after a clean shutdown ────────────────────────────────────────────────────────────────────────────────────────

  /** False if the last segment does not look like a clean end. */
  private async readActive(): Promise<boolean> {
    const segment = this.segments[this.segments.length - 1]
    const endOffset = this.hasIndexes(segment) ? await activate(this.options.pool, segment) : undefined
    if (endOffset === undefined) return false
    this.endOffset = endOffset
    return true
  }

  private hasIndexes(segment: Segment): boolean {
    const index = this.sizes.get(segmentFileName(segment.baseOffset, '.index'))
    const timeIndex = this.sizes.get(segmentFileName(segment.baseOffset, '.timeindex'))
    const aborted = this.sizes.get(segmentFileName(segment.baseOffset, '.txnindex')) ?? 0
    if (index === undefined || timeIndex === undefined) return false
    return index % 8 === 0 && timeIndex % 12 === 0 && aborted % ABORTED_ENTRY_SIZE === 0
  }

  /** A sealed segment's indexes were synced with it: they are rebuilt only if somebody took them away, or cut them. */
  private async requireIndexes(number: number): Promise<void> {
    const segment = this.segments[number]
    if (this.hasIndexes(segment)) {
      // After a clean shutdown there is no reason to open what may never be read.
      if (this.options.cleanShutdown) return
      const last = await segment.index.last()
      if (last === undefined || last.value < segment.size) return
    }
    const { topic, partition, report } = this.options
    report({ event: 'index-rebuilt', topic, partition, file: segment.path('.index'), reason: 'missing or damaged' })
    // Not there before all of them are: whoever is cut short here has the next start do it again.
    await this.removeFile(segmentFileName(segment.baseOffset, '.index'))
    await this.options.disk.syncDirectory(this.options.directory)
    const { producers } = await loadProducerState(this.options, this.segments, segment.baseOffset, this.options.nowMs)
    const visit = (header: Buffer, at: number) => producers.update(header, at, this.options.nowMs)
    const { rebuilt, problem, position } = await this.rebuild(segment, undefined, visit)
    if (problem !== undefined) throw new Damage(segment.path('.log'), position, problem)
    this.segments[number] = rebuilt
    rebuilt.seal()
    await rebuilt.syncIndexes()
  }

  // ── after any other end ───────────────────────────────────────────────────────────────────────────────────────────

  /** The newest mark in a segment: what recovery-marks.ts and clean shutdowns leave, at offsets that are known to be synced. */
  private async findMark(segment: Segment, recoveryPoint: bigint): Promise<Mark | undefined> {
    const offsets = [...this.names]
      .map((name) => parseSegmentFileName(name))
      .filter((parsed) => parsed?.suffix === '.snapshot')
      .map((parsed) => parsed!.baseOffset)
      .filter((offset) => offset > segment.baseOffset && offset <= recoveryPoint)
      .sort((a, b) => (a > b ? -1 : 1))
    const { baseOffset } = segment
    const indexBytes = this.sizes.get(segmentFileName(baseOffset, '.index'))
    const timeIndexBytes = this.sizes.get(segmentFileName(baseOffset, '.timeindex'))
    if (indexBytes === undefined || timeIndexBytes === undefined) return undefined
    for (const offset of offsets) {
      if (!isProducerSnapshot(await this.options.disk.readFile(this.path(segmentFileName(offset, '.snapshot'))))) continue
      // Of what was written to the indexes since, anything may have arrived.
      const abortedBytes = this.sizes.get(segmentFileName(baseOffset, '.txnindex')) ?? 0
      const marked = this.segment(baseOffset, segment.size, indexBytes, timeIndexBytes, abortedBytes)
      await marked.keepIndexesBelow(offset)
      if ((await activate(this.options.pool, marked, offset)) === offset) return { offset, segment: marked }
    }
    return undefined
  }

  /** Reads the segments from number `from` on; of that one only what is behind the mark. */
  private async scan(from: number, recoveryPoint: bigint, marked?: Mark): Promise<void> {
    const { nowMs } = this.options
    await this.removeMarksBehind(marked?.offset ?? this.segments[from].baseOffset)
    for (let i = from; i < this.segments.length; i++) {
      const segment = this.segments[i]
      // What was written without a sync may lack its middle. Only compaction leaves gaps, and syncs what it leaves.
      if (i > from && segment.baseOffset !== this.endOffset && this.endOffset >= recoveryPoint) {
        const before = this.segments[i - 1]
        await this.cut(
          i - 1,
          before.size,
          before.size,
          `${this.endOffset} comes next, the next segment begins at ${segment.baseOffset}`,
        )
        break
      }
      let endOffset = i === from && marked !== undefined ? marked.offset : segment.baseOffset
      const visit = (header: Buffer, at: number) => {
        endOffset = lastOffset(header, at) + 1n
        // What the checkpoint says of it is more than what compaction has left.
        if (this.epochs.epochOf(baseOffset(header, at)) !== leaderEpoch(header, at)) {
          this.epochs.assign(leaderEpoch(header, at), baseOffset(header, at))
        }
        return this.producers.update(header, at, nowMs)
      }
      const { rebuilt, problem, position } = await this.rebuild(segment, recoveryPoint, visit, i === from ? marked : undefined)
      if (problem !== undefined && endOffset < recoveryPoint) throw new Damage(segment.path('.log'), position, problem)
      this.segments[i] = rebuilt
      this.endOffset = endOffset
      if (problem !== undefined) {
        await this.cut(i, position, segment.size, problem)
        break
      }
      // From here on it counts as synced. The indexes of the last one are when it is sealed.
      await rebuilt.sync()
      if (i < this.segments.length - 1) {
        rebuilt.seal()
        await rebuilt.syncIndexes()
        // As where it was sealed: what is forgotten with its batches, should they be deleted, is known from here.
        const snapshot = segmentFileName(this.segments[i + 1].baseOffset, '.snapshot')
        await writeUnsynced(this.options.disk, this.path(snapshot), encodeProducerSnapshot(this.producers))
        this.names.add(snapshot)
      } else if (rebuilt.shouldSaveIndexes) await rebuilt.saveIndexes()
    }
    // A file's name may be newer than the recovery point, and no more durable than its data was.
    if (this.segments.some(({ baseOffset }) => baseOffset >= recoveryPoint)) this.unsyncedNames = true
  }

  /** They say of indexes that they are complete, which from now on they are not, until all is read. */
  private async removeMarksBehind(offset: bigint): Promise<void> {
    const { disk, directory } = this.options
    const marks = [...this.names].filter((name) => {
      const parsed = parseSegmentFileName(name)
      return parsed?.suffix === '.snapshot' && parsed.baseOffset > offset
    })
    for (const name of marks) await this.removeFile(name)
    if (marks.length > 0) await disk.syncDirectory(directory)
  }

  private async cut(number: number, position: number, size: number, reason: string): Promise<void> {
    const { topic, partition, report, disk } = this.options
    const segment = this.segments[number]
    const dropped = this.segments.splice(number + 1)
    let bytesRemoved = size - position
    for (const later of dropped) {
      bytesRemoved += later.size
      await later.removeFiles()
    }
    await segment.truncate(position, this.endOffset)
    await segment.syncIndexes()
    await disk.syncDirectory(this.options.directory)
    report({
      event: 'log-cut',
      topic,
      partition,
      file: segment.path('.log'),
      position,
      endOffset: this.endOffset,
      reason,
      bytesRemoved,
      segmentsRemoved: dropped.length,
    })
  }

  /**
   * A segment as its batches say it is, with new indexes, up to the first bad batch. Headers are believed below `syncedOffset`
   * (undefined: all of them), and from there on no batch whose checksum does not match. What is in front of the mark stays.
   * `visit` returns the transaction that the batch aborts, if it does.
   */
  private async rebuild(
    segment: Segment,
    syncedOffset: bigint | undefined,
    visit: (header: Buffer, at: number) => AbortedTransaction | undefined,
    marked?: Mark,
  ): Promise<{ rebuilt: Segment; problem: string | undefined; position: number }> {
    const { pool, config } = this.options
    const rebuilt = marked?.segment ?? (await this.emptied(segment))
    let minOffset = marked?.offset ?? segment.baseOffset
    const note = (header: Buffer, at: number, size: number) => {
      minOffset = lastOffset(header, at) + 1n
      const aborted = visit(header, at)
      if (aborted !== undefined) rebuilt.aborted.add(aborted)
      rebuilt.account(header, at, size, config.indexIntervalBytes)
      return true
    }
    const scan = await pool.use(segment.path('.log'), 'read', async (file) => {
      const synced = await scanBatches(file, {
        ...headersOf(segment, rebuilt.size),
        minOffset,
        visit: (header, at, _position, size) =>
          (syncedOffset === undefined || lastOffset(header, at) < syncedOffset) && note(header, at, size),
      })
      if (synced.problem !== undefined || syncedOffset === undefined) return synced
      return scanBatches(file, {
        ...headersOf(segment, synced.position),
        checkCrc: true,
        minOffset,
        visit: (header, at, _position, size) => note(header, at, size),
      })
    })
    rebuilt.writtenSize = rebuilt.size
    return { rebuilt, problem: scan.problem, position: scan.position }
  }

  /** The same segment with nothing in it yet, as far as anybody knows; its indexes are empty. */
  private async emptied(segment: Segment): Promise<Segment> {
    const { pool, directory, nowMs } = this.options
    const emptied = new Segment(this.options, directory, segment.baseOffset, { wallMs: nowMs })
    emptied.forgetFiles()
    for (const suffix of ['.index', '.timeindex'] as const) {
      // Emptied, not removed: its name is durable, and what a power cut brings back is not an old index.
      if (this.names.has(segmentFileName(segment.baseOffset, suffix))) {
        await pool.use(emptied.path(suffix), 'write', (file) => file.truncate(0))
      } else this.unsyncedNames = true
    }
    if (this.names.has(segmentFileName(segment.baseOffset, '.txnindex'))) await emptied.aborted.create()
    await emptied.aborted.empty()
    return emptied
  }

  // ── what is derived from batches ──────────────────────────────────────────────────────────────────────────────────

  private async rebuildEpochs(): Promise<void> {
    await visitHeaders(this.options.pool, this.segments, 0n, undefined, (header, at) => {
      this.epochs.assign(leaderEpoch(header, at), baseOffset(header, at))
    })
  }

  /** Producer state as it was when the log ended at `offset`. */
  private async loadProducers(offset: bigint): Promise<void> {
    const loaded = await loadProducerState(this.options, this.segments, offset, this.options.nowMs)
    this.producers = loaded.producers
    this.snapshotOffset = loaded.snapshotOffset
  }

  /** A snapshot belongs to the start of a segment, or to the end of the log: others would only pile up. */
  private async removeStraySnapshots(): Promise<void> {
    const bases = new Set(this.segments.map((segment) => segment.baseOffset))
    for (const name of this.names) {
      const parsed = parseSegmentFileName(name)
      if (parsed?.suffix !== '.snapshot' || bases.has(parsed.baseOffset) || parsed.baseOffset === this.snapshotOffset) continue
      await this.options.disk.remove(this.path(name))
      // One that came back would mark an offset which by then means something else.
      this.unsyncedNames = true
    }
  }
}
