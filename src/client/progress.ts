// How far a partition has been worked off. Records may be finished in any order; the position that may be committed stands before the
// first that is not.

export class Progress {
  /** Offsets given out, ascending; from `head` on not yet passed. */
  private offsets: bigint[] = []
  private head = 0
  /** Finished before one in front of them. */
  private readonly early = new Set<bigint>()
  private end: bigint | undefined

  /** Records given out and not finished, or finished before one in front of them. */
  get pending(): number {
    return this.offsets.length - this.head
  }

  /** Offsets must ascend. */
  started(offset: bigint): void {
    this.offsets.push(offset)
  }

  finished(offset: bigint): void {
    if (this.offsets[this.head] !== offset) {
      this.early.add(offset)
      return
    }
    this.head++
    let last = offset
    while (this.early.size > 0 && this.early.delete(this.offsets[this.head])) last = this.offsets[this.head++]
    this.end = last + 1n
    if (this.head > 1024 && this.head * 2 > this.offsets.length) {
      this.offsets = this.offsets.slice(this.head)
      this.head = 0
    }
  }

  /** Behind the last record that is finished with all before it; undefined while there is none. */
  get passed(): bigint | undefined {
    return this.end
  }
}
