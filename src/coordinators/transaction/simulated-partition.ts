// For the simulation: one partition of a topic as far as transactions see it. It keeps Kafka's rules for producers' epochs, and holds the
// coordinator to them: what no right coordinator would ever send fails the test.

import assert from 'node:assert/strict'
import type { ErrorName } from '../../protocol/error-codes.ts'
import type { TxnMarker } from './marker-sender.ts'

/** What was written in a transaction, told by a name for all that the transaction writes. */
interface Data {
  readonly producerId: bigint
  readonly tag: string
}

interface Marker {
  readonly producerId: bigint
  readonly committed: boolean
}

interface ProducerState {
  epoch: number
  coordinatorEpoch: number
  isOpen: boolean
}

/** Held from the question to the coordinator until the write that it was asked for: a marker in between takes it away. */
export type VerificationGuard = object

export class SimulatedPartition {
  readonly log: (Data | Marker)[] = []
  private readonly producers = new Map<bigint, ProducerState>()
  private readonly guards = new Map<bigint, VerificationGuard>()

  /** Null where the transaction is open here already: nothing needs to be asked. One of the epoch before is another. */
  guardFor(producerId: bigint, epoch: number): VerificationGuard | null {
    const producer = this.producers.get(producerId)
    if (producer?.isOpen && producer.epoch === epoch) return null
    const guard = this.guards.get(producerId) ?? {}
    this.guards.set(producerId, guard)
    return guard
  }

  write(producerId: bigint, epoch: number, tag: string, guard: VerificationGuard | null): ErrorName {
    const producer = this.producers.get(producerId)
    if (producer !== undefined && epoch < producer.epoch) return 'INVALID_PRODUCER_EPOCH'
    // Sent again: its sequence tells.
    if (producer?.epoch === epoch && this.log.some((entry) => 'tag' in entry && entry.tag === tag)) return 'NONE'
    if (!producer?.isOpen && (guard === null || this.guards.get(producerId) !== guard)) return 'INVALID_TXN_STATE'
    assert(!producer?.isOpen || producer.epoch === epoch, 'a transaction ends before its producer gets another epoch')
    this.guards.delete(producerId)
    this.producers.set(producerId, { epoch, coordinatorEpoch: producer?.coordinatorEpoch ?? -1, isOpen: true })
    this.log.push({ producerId, tag })
    return 'NONE'
  }

  end({ producerId, producerEpoch, coordinatorEpoch, committed, transactionVersion }: TxnMarker): ErrorName {
    const producer = this.producers.get(producerId) ?? { epoch: -1, coordinatorEpoch: -1, isOpen: false }
    if (coordinatorEpoch < producer.coordinatorEpoch) return 'TRANSACTION_COORDINATOR_FENCED'
    const isRepeated = producerEpoch === producer.epoch && !producer.isOpen
    if (transactionVersion >= 2) assert(producerEpoch > producer.epoch || isRepeated, 'each end has an epoch of its own')
    else assert(producerEpoch >= producer.epoch, 'a marker is not older than what it ends')
    this.guards.delete(producerId)
    this.producers.set(producerId, { epoch: producerEpoch, coordinatorEpoch, isOpen: false })
    if (!isRepeated) this.log.push({ producerId, committed })
    return 'NONE'
  }

  get openTransactions(): number {
    return [...this.producers.values()].filter(({ isOpen }) => isOpen).length
  }

  /** What a consumer with `read_committed` sees, in order. */
  committed(): string[] {
    const open = new Map<bigint, string[]>()
    const seen: string[] = []
    for (const entry of this.log) {
      const tags = open.get(entry.producerId) ?? []
      if ('tag' in entry) {
        open.set(entry.producerId, [...tags, entry.tag])
        continue
      }
      if (entry.committed) seen.push(...tags)
      open.delete(entry.producerId)
    }
    return seen
  }
}
