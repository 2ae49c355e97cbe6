// The transactions of one log that readers of committed records must not get ahead of: those that are open, and those whose end
// may still be taken back because it is not committed itself.

interface EndedTransaction {
  readonly firstOffset: bigint
  /** Of the marker that ended it. */
  readonly lastOffset: bigint
}

export class OpenTransactions {
  /** First offsets by producer. They ascend, for each transaction begins behind all that is in the log. */
  private open = new Map<bigint, bigint>()
  /** In the order of their markers; those that were committed when somebody last asked are gone. */
  private ended: EndedTransaction[] = []

  /** In any order, and none of them known yet. */
  restore(transactions: Iterable<readonly [producerId: bigint, firstOffset: bigint]>): void {
    this.open = new Map([...transactions].sort(([, a], [, b]) => (a < b ? -1 : 1)))
  }

  begin(producerId: bigint, firstOffset: bigint): void {
    this.open.set(producerId, firstOffset)
  }

  /** Returns up to where the log is decided from now on: what the transaction index remembers of each end. */
  end(producerId: bigint, markerOffset: bigint): bigint {
    const firstOffset = this.open.get(producerId)
    if (firstOffset !== undefined) {
      this.open.delete(producerId)
      this.ended.push({ firstOffset, lastOffset: markerOffset })
    }
    return this.firstOpen ?? markerOffset + 1n
  }

  /** @param highWatermark never below that of an earlier call */
  lastStableOffset(highWatermark: bigint): bigint {
    if (this.ended.length > 0 && this.ended[0].lastOffset < highWatermark) {
      this.ended = this.ended.filter(({ lastOffset }) => lastOffset >= highWatermark)
    }
    let stable = highWatermark
    const { firstOpen } = this
    if (firstOpen !== undefined && firstOpen < stable) stable = firstOpen
    for (const { firstOffset } of this.ended) if (firstOffset < stable) stable = firstOffset
    return stable
  }

  /** Takes over what `before` knew to have ended below `offset`, where the log was cut: a snapshot does not tell. */
  keepEnded(before: OpenTransactions, offset: bigint): void {
    this.ended = before.ended.filter(({ lastOffset }) => lastOffset < offset)
  }

  /** Takes over from `known` those that ended at `offset` or behind. */
  recallEnded(known: OpenTransactions, offset: bigint): void {
    this.ended = known.ended.filter(({ lastOffset }) => lastOffset >= offset)
  }

  clear(): void {
    this.open.clear()
    this.ended = []
  }

  private get firstOpen(): bigint | undefined {
    return this.open.values().next().value
  }
}
