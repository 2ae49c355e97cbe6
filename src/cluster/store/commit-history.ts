// The commits that a store still remembers, and the watches that follow them. Shared by every store that keeps its own history.

import type { Change, Revision } from './metadata-store.ts'
import type { Batch } from './store-files.ts'

export class CommitHistory {
  private batches: Batch[]
  /** What happened up to here is no longer in `batches`. */
  private compacted: Revision
  private ended = false
  private readonly waiting = new Set<() => void>()

  constructor(batches: Batch[] = [], compacted: Revision = 0) {
    this.batches = batches
    this.compacted = compacted
  }

  /** Watches see it at the next `wake`, so that one write's commits are told together. */
  push(batch: Batch): void {
    this.batches.push(batch)
  }

  /** Forgets everything up to a revision: watches that have not got that far hear `compacted`. */
  compact(upTo: Revision): void {
    this.batches = this.batches.filter((batch) => batch.revision > upTo)
    this.compacted = Math.max(this.compacted, upTo)
    this.wake()
  }

  wake(): void {
    for (const wake of this.waiting) wake()
  }

  /** Ends all watches. */
  end(): void {
    this.ended = true
    this.wake()
  }

  /** A slow one costs no memory, and in the end hears `compacted`. `upTo`: how far whoever asks may see by now. */
  watch(prefix: string, after: Revision, upTo: () => Revision = () => Number.MAX_SAFE_INTEGER): AsyncIterableIterator<Change> {
    return new Watch(this, prefix, after, upTo)
  }

  /** The next thing that a watch has to tell; undefined while nothing has happened, null when it is over. For `Watch` only. */
  next(prefix: string, after: Revision, upTo: Revision): { change: Change | null; last: Revision } | undefined {
    if (this.ended) return { change: null, last: after }
    if (after < this.compacted) return { change: { kind: 'compacted' }, last: after }
    let last = after
    for (let at = this.positionAfter(after); at < this.batches.length && this.batches[at].revision <= upTo; at++) {
      last = this.batches[at].revision
      const events = this.batches[at].events.filter((event) => ('put' in event ? event.put.key : event.delete).startsWith(prefix))
      if (events.length > 0) return { change: { kind: 'batch', revision: last, events }, last }
    }
    return last === after ? undefined : { change: { kind: 'progress', revision: last }, last }
  }

  /** Calls back once, at the next wake. Returns how to take that back. */
  onWake(wake: () => void): () => void {
    this.waiting.add(wake)
    return () => this.waiting.delete(wake)
  }

  private positionAfter(revision: Revision): number {
    let low = 0
    let high = this.batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.batches[middle].revision <= revision) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** One watch: a place in the history. */
class Watch implements AsyncIterableIterator<Change> {
  private readonly history: CommitHistory
  private readonly prefix: string
  private readonly upTo: () => Revision
  private last: Revision
  private over = false
  private wake: () => void = () => {}

  constructor(history: CommitHistory, prefix: string, after: Revision, upTo: () => Revision) {
    this.history = history
    this.prefix = prefix
    this.last = after
    this.upTo = upTo
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Change, undefined>> {
    while (!this.over) {
      const found = this.history.next(this.prefix, this.last, this.upTo())
      if (found !== undefined) {
        this.last = found.last
        this.over = found.change === null || found.change.kind === 'compacted'
        if (found.change === null) break
        return { done: false, value: found.change }
      }
      await new Promise<void>((resolve) => {
        const forget = this.history.onWake(() => this.wake())
        this.wake = () => {
          forget()
          resolve()
        }
      })
    }
    return { done: true, value: undefined }
  }

  /** Ends a `next` that waits, too. */
  async return(): Promise<IteratorResult<Change, undefined>> {
    this.over = true
    this.wake()
    return { done: true, value: undefined }
  }
}
