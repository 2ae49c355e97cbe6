// Follows the transactions of a log while it is compacted, batch by batch in order: which data was aborted, and which markers have
// nothing left to end.

import { isTransactional, lastOffset, producerId } from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import type { AbortedTransaction } from './aborted-index.ts'

export class CleanedTransactions {
  /** Not begun yet, by first offset. */
  private coming: AbortedTransaction[] = []
  /** By producer: begun, and not ended yet. */
  private readonly aborted = new Map<bigint, { readonly transaction: AbortedTransaction; hasData: boolean }>()
  /** Producers of data that is committed by a marker still to come. */
  private readonly committed = new Set<bigint>()

  /** Before a stretch of the log is gone through: all that overlap with it. Those that are known already may be among them. */
  expect(transactions: readonly AbortedTransaction[]): void {
    this.coming.push(...transactions)
    this.coming.sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : a.firstOffset > b.firstOffset ? 1 : 0))
  }

  /** Whether the data was aborted. */
  onData(batch: Buffer): boolean {
    this.beginUpTo(lastOffset(batch))
    if (!isTransactional(batch)) return false
    const aborted = this.aborted.get(producerId(batch))
    if (aborted === undefined) this.committed.add(producerId(batch))
    else aborted.hasData = true
    return aborted !== undefined
  }

  /** `needed`: data that it ends is there, or was until now. Then, if it was aborted, readers must be told. */
  onMarker(batch: Buffer): { readonly needed: boolean; readonly aborted?: AbortedTransaction } {
    this.beginUpTo(lastOffset(batch))
    const type = readControlRecord(batch)?.type
    switch (type) {
      case 'commit':
        return { needed: this.committed.delete(producerId(batch)) }
      case 'abort': {
        const aborted = this.aborted.get(producerId(batch))
        this.aborted.delete(producerId(batch))
        return aborted?.hasData ? { needed: true, aborted: aborted.transaction } : { needed: false }
      }
      case 'other':
        return { needed: true }
      case undefined:
        return { needed: false }
    }
  }

  private beginUpTo(offset: bigint): void {
    let begun = 0
    while (begun < this.coming.length && this.coming[begun].firstOffset <= offset) {
      const transaction = this.coming[begun++]
      if (!this.aborted.has(transaction.producerId)) this.aborted.set(transaction.producerId, { transaction, hasData: false })
    }
    if (begun > 0) this.coming = this.coming.slice(begun)
  }
}
