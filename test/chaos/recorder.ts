// Takes down what the load does, as it does it.

import type { History, Operation } from './history.ts'

export class Recorder {
  readonly operations: Operation[] = []
  private readonly from = performance.now()

  now(): number {
    return performance.now() - this.from
  }

  /** Operations are listed in the order in which they began, whenever they end: `begin` holds their place. */
  begin(process: string, f: Operation['f']): (result: Omit<Operation, 'process' | 'f' | 'start' | 'end'>) => void {
    const start = this.now()
    const place = this.operations.push({ process, f, type: 'info', start, end: Number.POSITIVE_INFINITY }) - 1
    return (result) => {
      this.operations[place] = { process, f, start, end: this.now(), ...result }
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
