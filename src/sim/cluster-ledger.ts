// What clients have asked for and what they were told: the judge holds the cluster to it.

import type { Tally } from './simulation.ts'

export type Outcome = 'open' | 'acknowledged' | 'refused'

export interface Sent {
  readonly value: string
  readonly producer: string
  /** Of the producer's records, counted from 0. */
  readonly number: number
  readonly topic: string
  readonly acks: 'all' | 0 | 1
  readonly idempotent: boolean
  readonly transaction: Attempt | undefined
  partition: number
  offset: bigint
  outcome: Outcome
}

/** A transaction, as far as its producer knows. */
export interface Attempt {
  readonly name: string
  readonly sent: Sent[]
  /** Asked: a commit was asked for, and nobody knows what came of it. */
  end: 'open' | 'asked' | 'committed' | 'aborted'
}

export interface Read {
  readonly offset: bigint
  readonly value: string
}

/** Of a group and a partition. */
interface Committed {
  /** The highest that was acknowledged. */
  acknowledged: bigint
  /** Asked for without an answer: may still come into effect. */
  readonly unanswered: Set<bigint>
}

export class Ledger {
  /** By value: no two are the same. */
  readonly sent = new Map<string, Sent>()
  readonly attempts: Attempt[] = []
  /** By reader, by partition: in the order in which they came. */
  readonly reads = new Map<string, Map<string, Read[]>>()
  /** By group and partition: what any member was given. */
  readonly delivered = new Map<string, Map<bigint, string>>()
  readonly committed = new Map<string, Committed>()
  /** Of whoever shows an offset: by partition, what is there. */
  private readonly shown = new Map<string, Map<bigint, string>>()
  private readonly tally: Tally
  private readonly onContradiction: (partition: string, sentence: string) => void

  constructor(tally: Tally, onContradiction: (partition: string, sentence: string) => void) {
    this.tally = tally
    this.onContradiction = onContradiction
  }

  /** Somebody was shown this record. Nobody may ever be shown another one at its place. */
  show(partition: string, offset: bigint, value: string): void {
    const known = this.shown.get(partition) ?? new Map<bigint, string>()
    this.shown.set(partition, known)
    const before = known.get(offset)
    if (before === undefined) known.set(offset, value)
    else if (before !== value)
      this.onContradiction(partition, `offset ${offset} of ${partition} shows ${before}, and then ${value}`)
  }

  read(reader: string, partition: string, read: Read): void {
    this.tally.count('records read')
    this.show(partition, read.offset, read.value)
    const of = this.reads.get(reader) ?? new Map<string, Read[]>()
    this.reads.set(reader, of)
    const list = of.get(partition) ?? []
    of.set(partition, list)
    list.push(read)
  }

  deliver(group: string, partition: string, { offset, value }: Read): void {
    this.show(partition, offset, value)
    const key = `${group} ${partition}`
    const of = this.delivered.get(key) ?? new Map<bigint, string>()
    this.delivered.set(key, of)
    this.tally.count(of.has(offset) ? 'records that a group was given again' : 'records that a group was given')
    of.set(offset, value)
  }

  /** @returns what to call with the answer */
  commit(group: string, partition: string, offset: bigint): (acknowledged: boolean) => void {
    const key = `${group} ${partition}`
    const of = this.committed.get(key) ?? { acknowledged: -1n, unanswered: new Set<bigint>() }
    this.committed.set(key, of)
    return (acknowledged) => {
      this.tally.count(acknowledged ? 'group offsets committed' : 'group offsets refused, or not answered')
      if (!acknowledged) of.unanswered.add(offset)
      else if (offset > of.acknowledged) of.acknowledged = offset
    }
  }
}
