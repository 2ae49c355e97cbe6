// The segments of one log, in order, and when a new one begins. The list is replaced, never changed, so that whoever goes
// through it is not disturbed.

import type { Random } from '../host/random.ts'
import { maxTimestamp } from '../protocol/records/batch-header.ts'
import type { LogConfig } from './log-config.ts'
import { Segment, type SegmentStorage } from './segment.ts'

/** Offsets within a segment are relative to its first, in 32 bits, signed. */
const INT32_MAX = 0x7fffffffn

export class SegmentList {
  all: readonly Segment[]
  private readonly storage: SegmentStorage
  private readonly directory: string
  private readonly random: Random
  /** What the producers are now, for the segment that begins now. */
  private readonly producerSnapshot: () => Buffer

  constructor(
    storage: SegmentStorage & { random: Random },
    directory: string,
    all: readonly Segment[],
    producerSnapshot: () => Buffer,
  ) {
    this.storage = storage
    this.random = storage.random
    this.directory = directory
    this.all = all
    this.producerSnapshot = producerSnapshot
  }

  /** The one that is appended to. */
  get active(): Segment | undefined {
    return this.all.at(-1)
  }

  get sizeBytes(): number {
    let size = 0
    for (const segment of this.all) size += segment.size
    return size
  }

  /** The last segment that begins at or in front of `offset`, the first if none does. */
  holding(offset: bigint): Segment | undefined {
    return this.all[segmentNumber(this.all, offset)]
  }

  /**
   * Where a batch goes that is given the offsets `offset` to `last`: the active segment, or a new one. That begins where the log has
   * ended, though the batch may be further on: where its leader's log was compacted. A gap between segments would look like a loss.
   */
  forBatch(
    batch: Buffer,
    { offset, last, endOffset }: { offset: bigint; last: bigint; endOffset: bigint },
    config: LogConfig,
    nowMs: number,
  ): Segment {
    const active = this.active
    if (
      active === undefined ||
      !active.takes(last, batch.length, config.segmentBytes, config.segmentIndexBytes) ||
      isOld(active, Number(maxTimestamp(batch)), config, nowMs)
    ) {
      return this.begin(last - endOffset > INT32_MAX ? offset : endOffset, config, nowMs)
    }
    return active
  }

  /** Seals the active segment, and makes a new one. */
  begin(offset: bigint, config: LogConfig, nowMs: number): Segment {
    const { segmentJitterMs, segmentMs } = config
    const jitterMs = segmentJitterMs > 0 ? this.random.u32() % Math.min(segmentJitterMs, segmentMs) : 0
    const segment = new Segment(this.storage, this.directory, offset, { wallMs: nowMs, jitterMs })
    const sealed = this.active
    if (sealed !== undefined) {
      sealed.seal()
      segment.producerSnapshot = this.producerSnapshot()
    }
    this.all = [...this.all, segment]
    return segment
  }

  /** Takes the first `count` off the list. */
  dropFirst(count: number): readonly Segment[] {
    const dropped = this.all.slice(0, count)
    this.all = this.all.slice(count)
    return dropped
  }

  /** Takes what is behind `last` off the list; everything if there is no such. */
  dropBehind(last: Segment | undefined): readonly Segment[] {
    const kept = last === undefined ? 0 : this.all.indexOf(last) + 1
    const dropped = this.all.slice(kept)
    this.all = this.all.slice(0, kept)
    return dropped
  }

  /** One segment in the place of several that stand side by side. */
  replace(replaced: readonly Segment[], by: Segment): void {
    const first = this.all.indexOf(replaced[0])
    this.all = [...this.all.slice(0, first), by, ...this.all.slice(first + replaced.length)]
  }
}

/** By the time of its records, where they have one. */
function isOld(segment: Segment, timestampMs: number, config: LogConfig, nowMs: number): boolean {
  if (segment.size === 0) return false
  const first = segment.firstTimestamp ?? -1n
  const ageMs = first >= 0n && timestampMs >= 0 ? timestampMs - Number(first) : nowMs - segment.openedMs
  // A record must leave the active segment before compaction can reach it.
  const limitMs = config.compacts ? Math.min(config.segmentMs, config.maxCompactionLagMs) : config.segmentMs
  return ageMs > limitMs - segment.jitterMs
}

/** The number of the last segment that begins at or in front of `offset`; 0 if none does. */
export function segmentNumber(segments: readonly Segment[], offset: bigint): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segments[middle].baseOffset <= offset) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}
