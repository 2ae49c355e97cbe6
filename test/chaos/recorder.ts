// Takes down what the load does, as it does it.

import type { History, Operation } from './history.ts'

export type Outcome = Omit<Operation, 'process' | 'f' | 'start' | 'end'>

export class Recorder {
  readonly operations: Operation[] = []
  /** Of the machine's monotonic clock, which other processes know, too. */
  private readonly fromNs = process.hrtime.bigint()

  now(): number {
    return this.at(Number(process.hrtime.bigint()))
  }

  private at(ns: number): number {
    return (ns - Number(this.fromNs)) / 1e6
  }

  /**
   * Operations are listed in the order in which they began, whenever they end: `begin` holds their place. What another process did comes
   * with its own nanoseconds.
   */
  begin(process: string, f: Operation['f'], startNs?: number): (result: Outcome, endNs?: number) => void {
    const start = startNs === undefined ? this.now() : this.at(startNs)
    const place = this.operations.push({ process, f, type: 'info', start, end: Number.POSITIVE_INFINITY }) - 1
    return (result, endNs) => {
      this.operations[place] = { process, f, start, end: endNs === undefined ? this.now() : this.at(endNs), ...result }
    }
  }

  history(final: History['final']): History {
    return { operations: this.operations, final }
  }

  /** How many sends and transactions were acknowledged, and when the last of them was. */
  acknowledged(since = 0): number {
    return this.operations.filter(({ f, type, end }) => (f === 'send' || f === 'txn') && type === 'ok' && end >= since).length
  }
}
