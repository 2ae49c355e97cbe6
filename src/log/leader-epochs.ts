// Which leader epoch began at which offset (KIP-101): what replicas compare to find where their logs part.

import type { Disk } from '../host/disk.ts'
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint-file.ts'

interface EpochStart {
  readonly epoch: number
  readonly startOffset: bigint
}

export class LeaderEpochs {
  /** Epochs and offsets both ascend. */
  private entries: EpochStart[] = []

  /** Throws Error where the file is damaged. */
  static decode(path: string, contents: Buffer): LeaderEpochs {
    const epochs = new LeaderEpochs()
    for (const [epoch, startOffset] of decodeCheckpoint(path, contents, 2)) epochs.assign(Number(epoch), BigInt(startOffset))
    return epochs
  }

  encode(): Buffer {
    return encodeCheckpoint(this.entries.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`))
  }

  /** -1: none yet. */
  get latest(): number {
    return this.entries.length === 0 ? -1 : this.entries[this.entries.length - 1].epoch
  }

  /** Notes that `epoch` begins at `startOffset`. False where that was known, or the epoch is none. */
  assign(epoch: number, startOffset: bigint): boolean {
    if (epoch < 0 || epoch === this.latest) return false
    // An epoch that ended up empty: what comes takes its place, of an older epoch though it may be. So it is where a leader that wrote
    // nothing follows one of before.
    const before = this.entries.length
    while (this.entries.length > 0 && this.entries[this.entries.length - 1].startOffset >= startOffset) this.entries.pop()
    if (epoch <= this.latest) return this.entries.length !== before
    this.entries.push({ epoch, startOffset })
    return true
  }

  /**
   * The largest epoch at or below `epoch`, and where it ended: at the start of the next, or at `endOffset`, the end of the log.
   * Undefined where no such epoch is known.
   */
  endOffsetFor(epoch: number, endOffset: bigint): { epoch: number; endOffset: bigint } | undefined {
    if (epoch < 0 || this.entries.length === 0) return undefined
    if (epoch === this.latest) return { epoch, endOffset }
    const next = this.entries.findIndex((entry) => entry.epoch > epoch)
    if (next === -1) return undefined
    return { epoch: next === 0 ? epoch : this.entries[next - 1].epoch, endOffset: this.entries[next].startOffset }
  }

  /** The epoch that `offset` was written in; -1 if it is not known. */
  epochOf(offset: bigint): number {
    for (let i = this.entries.length - 1; i >= 0; i--) if (this.entries[i].startOffset <= offset) return this.entries[i].epoch
    return -1
  }

  /** The log now ends at `endOffset`. True if that changed anything. */
  truncateFromEnd(endOffset: bigint): boolean {
    const before = this.entries.length
    while (this.entries.length > 0 && this.entries[this.entries.length - 1].startOffset >= endOffset) this.entries.pop()
    return this.entries.length !== before
  }

  /** The log now starts at `startOffset`. True if that changed anything. */
  truncateFromStart(startOffset: bigint): boolean {
    let first = 0
    while (first + 1 < this.entries.length && this.entries[first + 1].startOffset <= startOffset) first++
    const kept = this.entries[first]
    if (kept === undefined || (first === 0 && kept.startOffset >= startOffset)) return false
    this.entries.splice(0, first + 1, {
      epoch: kept.epoch,
      startOffset: kept.startOffset > startOffset ? kept.startOffset : startOffset,
    })
    return true
  }
}

/** The leader epochs of a log with the file that keeps them. Changes are in memory at once, and in the file when it is asked for. */
export class EpochFile {
  private readonly disk: Disk
  private readonly path: string
  readonly epochs: LeaderEpochs
  private changed = false
  private saving: Promise<void> | undefined

  constructor(disk: Disk, path: string, epochs: LeaderEpochs) {
    this.disk = disk
    this.path = path
    this.epochs = epochs
  }

  get latest(): number {
    return this.epochs.latest
  }

  endOffsetFor(epoch: number, endOffset: bigint): { epoch: number; endOffset: bigint } | undefined {
    return this.epochs.endOffsetFor(epoch, endOffset)
  }

  epochOf(offset: bigint): number {
    return this.epochs.epochOf(offset)
  }

  assign(epoch: number, startOffset: bigint): void {
    if (this.epochs.assign(epoch, startOffset)) this.changed = true
  }

  truncateFromEnd(endOffset: bigint): void {
    if (this.epochs.truncateFromEnd(endOffset)) this.changed = true
  }

  truncateFromStart(startOffset: bigint): void {
    if (this.epochs.truncateFromStart(startOffset)) this.changed = true
  }

  /** Undefined where the file says all there is to say, durably. Callers at the same time share what is written. */
  saveIfChanged(): Promise<void> | undefined {
    if (!this.changed) return this.saving
    this.saving ??= this.save().finally(() => {
      this.saving = undefined
    })
    return this.saving
  }

  private async save(): Promise<void> {
    while (this.changed) {
      this.changed = false
      try {
        await this.disk.replaceFile(this.path, this.epochs.encode())
      } catch (error) {
        this.changed = true
        throw error
      }
    }
  }
}
