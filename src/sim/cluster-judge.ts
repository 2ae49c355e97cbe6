// Holds a healed cluster to all that its clients were told: what is acknowledged is there, once, in order; transactions are whole; readers
// missed nothing; positions of groups are where they were committed.

import { ClusterClient } from '../client/cluster-client.ts'
import { fetchGroupOffsets } from '../client/group-offsets.ts'
import { partitionKey } from '../client/metadata.ts'
import type { Partition } from '../cluster/replication/partition.ts'
import {
  baseOffset,
  batchSize,
  isControl,
  isTransactional,
  leaderEpoch,
  producerId,
  storedCrc,
} from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import type { RunningReader, SimulatedClient } from './cluster-clients.ts'
import type { ClusterInvariants } from './cluster-invariants.ts'
import type { Ledger, Read, Sent } from './cluster-ledger.ts'
import { SINK, SOURCE, VOLATILE_TOPIC } from './cluster-scenario.ts'
import type { ClusterWorld } from './cluster-world.ts'

/** What is in a log in the end. */
interface Contents {
  /** In order, without control records. */
  readonly records: Read[]
  /** Of the records whose transaction was aborted, or never ended. */
  readonly aborted: Set<bigint>
  /** Of each batch: its place, epoch and checksum. */
  readonly batches: string[]
}

export class ClusterJudge {
  private readonly world: ClusterWorld
  private readonly ledger: Ledger
  private readonly invariants: ClusterInvariants
  /** Of the leaders. */
  private readonly logs = new Map<string, Contents>()

  constructor(world: ClusterWorld, ledger: Ledger, invariants: ClusterInvariants) {
    this.world = world
    this.ledger = ledger
    this.invariants = invariants
  }

  async judge(clients: readonly SimulatedClient[]): Promise<void> {
    await this.readLogs()
    this.checkAcknowledged()
    this.checkOrder()
    this.checkTransactions()
    for (const client of clients) if (client.plan.kind === 'reader') this.checkReader(client as RunningReader)
    this.checkProcessors()
    await this.checkGroups()
    this.world.rethrow()
  }

  private fail(rule: string, sentence: string): void {
    this.world.fail(rule, sentence)
  }

  private mayHaveLost(topic: string, partition: number): boolean {
    return topic === VOLATILE_TOPIC || this.invariants.isTainted(topic, partition)
  }

  private get anyLost(): boolean {
    return this.invariants.taintedCount > 0
  }

  // ── logs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** (5): all replicas of a partition have the same. */
  private async readLogs(): Promise<void> {
    const { image, nodes } = this.world
    for (const topic of image!.topics()) {
      for (const [index, record] of topic.partitions.entries()) {
        const replicas = record.replicas.map((id) => {
          for (const partition of nodes.get(id)!.view!.partitions())
            if (partition.topic === topic.name && partition.index === index) return { id, partition }
          throw new Error(`broker ${id} has no ${topic.name}-${index}`)
        })
        const contents = new Map<number, Contents>()
        for (const { id, partition } of replicas) contents.set(id, await this.readLog(partition))
        const key = partitionKey(topic.name, index)
        const truth = contents.get(record.leader)!
        this.logs.set(key, truth)
        for (const [id, { batches }] of contents) {
          const at = truth.batches.findIndex((batch, i) => batches[i] !== batch)
          if (at !== -1 || batches.length !== truth.batches.length) {
            const sentence = `${key} at broker ${id}: ${batches[at] ?? batches.length}; at ${record.leader}: ${truth.batches[at] ?? truth.batches.length}`
            this.fail('replicas are equal', sentence)
          }
        }
        if (!topic.name.startsWith('__') && !this.mayHaveLost(topic.name, index))
          for (const { offset, value } of truth.records) this.ledger.show(key, offset, value)
      }
    }
  }

  private async readLog({ log }: Partition, mayBeOpen = false): Promise<Contents> {
    const records: Read[] = []
    const batches: string[] = []
    const aborted = new Set<bigint>()
    const open = new Map<bigint, bigint[]>()
    let next = log.logStartOffset
    while (next < log.endOffset) {
      const reading = Promise.resolve(log.read(next, { maxBytes: 1_000_000, limitOffset: log.endOffset, atLeastOneBatch: true }))
      const { chunks, nextOffset } = await this.world.simulation.settle(reading)
      if (nextOffset <= next) throw new Error(`${log.name} cannot be read from ${next} on`)
      next = nextOffset
      for (const chunk of chunks) {
        for (const at of eachBatch(chunk)) {
          const bytes = chunk.subarray(at, at + batchSize(chunk, at))
          batches.push(`${baseOffset(bytes)} in ${leaderEpoch(bytes)}: ${storedCrc(bytes)}`)
          const id = producerId(bytes)
          if (isControl(bytes)) {
            const offsets = open.get(id) ?? []
            open.delete(id)
            if (readControlRecord(bytes)?.type === 'abort') for (const offset of offsets) aborted.add(offset)
            continue
          }
          for (const { offset, value } of decodeRecords(bytes, 0)) {
            records.push({ offset, value: String(value) })
            if (!isTransactional(bytes)) continue
            const offsets = open.get(id) ?? []
            open.set(id, offsets)
            offsets.push(offset)
          }
        }
      }
    }
    for (const offsets of open.values()) for (const offset of offsets) aborted.add(offset)
    if (open.size > 0 && !mayBeOpen) this.fail('transactions end', `${log.name} has ${open.size} transactions that are open`)
    return { records, aborted, batches }
  }

  // ── producers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** (11) */
  private checkAcknowledged(): void {
    const valuesAt = new Map<string, Map<bigint, string>>()
    for (const [key, { records }] of this.logs) valuesAt.set(key, new Map(records.map(({ offset, value }) => [offset, value])))
    for (const { value, acks, outcome, topic, partition, offset } of this.ledger.sent.values()) {
      if (acks !== 'all' || outcome !== 'acknowledged' || this.mayHaveLost(topic, partition)) continue
      const key = partitionKey(topic, partition)
      // A duplicate that nobody remembers the place of has none.
      const found = valuesAt.get(key)?.get(offset)
      if (found === value) continue
      this.fail('what is acknowledged stays', `${value} was acknowledged at ${offset} of ${key}; there is ${found ?? 'nothing'}`)
    }
  }

  /** (12) */
  private checkOrder(): void {
    for (const [key, { records, aborted }] of this.logs) {
      const topic = key.slice(0, key.lastIndexOf('/'))
      if (topic.startsWith('__') || this.mayHaveLost(topic, Number(key.slice(key.lastIndexOf('/') + 1)))) continue
      const last = new Map<string, Sent>()
      for (const { offset, value } of records) {
        const sent = this.ledger.sent.get(value)
        if (sent === undefined) {
          this.fail('nothing comes from nowhere', `${key} has ${value} at ${offset}, which nobody has sent`)
          continue
        }
        if (topic === SINK) {
          if (aborted.has(offset)) continue
        } else if (!sent.idempotent) continue
        const by = topic === SINK ? `${sent.producer} ${sent.partition}` : sent.producer
        if (topic === SINK && !sent.idempotent) continue
        const before = last.get(by)
        last.set(by, sent)
        if (topic !== SINK && before !== undefined && before.number >= sent.number)
          this.fail('once, and in order', `${key} has ${value} at ${offset}, behind ${before.value}`)
      }
    }
  }

  /** (13) */
  private checkTransactions(): void {
    if (this.anyLost) return
    const visible = new Set<string>()
    for (const { records, aborted } of this.logs.values())
      for (const { offset, value } of records) if (!aborted.has(offset)) visible.add(value)
    for (const { name, sent, end } of this.ledger.attempts) {
      const seen = sent.filter(({ value }) => visible.has(value)).length
      if (end === 'committed' && seen !== sent.length)
        this.fail('transactions are whole', `${name} was committed, and ${seen} of ${sent.length} records are seen`)
      if ((end === 'aborted' || end === 'open') && seen > 0)
        this.fail('what is aborted is not seen', `${name} was ${end}, and ${seen} of ${sent.length} records are seen`)
      if (end === 'asked' && seen !== 0 && seen !== sent.length)
        this.fail('transactions are whole', `${name} may be committed, and ${seen} of ${sent.length} records are seen`)
    }
  }

  // ── consumers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** (10) */
  private checkReader({ plan }: RunningReader): void {
    if (plan.topic === VOLATILE_TOPIC) return
    for (const [key, { records, aborted }] of this.logs) {
      const [topic, index] = split(key)
      if (topic !== plan.topic || this.mayHaveLost(topic, index)) continue
      const committedOnly = plan.kind === 'reader' && plan.isolation === 'read_committed'
      const due = records.filter(({ offset }) => !committedOnly || !aborted.has(offset))
      const reads = this.ledger.reads.get(plan.name)?.get(key) ?? []
      const at = due.findIndex(({ offset, value }, i) => reads[i]?.offset !== offset || reads[i].value !== value)
      if (at === -1 && reads.length === due.length) continue
      const shown = (read: Read | undefined) => (read === undefined ? 'nothing' : `${read.value} at ${read.offset}`)
      const i = at === -1 ? due.length : at
      this.fail(
        'readers get everything once',
        `${plan.name} of ${key}: its record ${i} is ${shown(reads[i])}, ${shown(due[i])} was due`,
      )
    }
  }

  /** (14), and nothing is passed over. */
  private async checkGroups(): Promise<void> {
    if (this.ledger.committed.size === 0 || this.anyLost) return
    const groups = new Set([...this.ledger.committed.keys()].map((key) => key.split(' ')[0]))
    const client = new ClusterClient({
      ...this.world.client('judge'),
      bootstrapServers: this.world.bootstrapServers,
      apiTimeoutMs: 30_000,
    })
    for (const group of groups) {
      const found = await this.world.simulation.settle(fetchGroupOffsets(client, group, null))
      for (const [key, { acknowledged, unanswered }] of this.ledger.committed) {
        const [of, partition] = key.split(' ')
        if (of !== group) continue
        const stored = found.get(partition)?.offset ?? -1n
        if (stored < acknowledged && !unanswered.has(stored))
          this.fail('positions stay', `${group} committed ${acknowledged} of ${partition}, and has ${stored}`)
        const delivered = this.ledger.delivered.get(key) ?? new Map()
        for (const { offset, value } of this.logs.get(partition)?.records ?? [])
          if (offset < stored && !delivered.has(offset))
            this.fail(
              'groups pass nothing over',
              `${group} stands at ${stored} of ${partition}; nobody was given ${value} at ${offset}`,
            )
      }
    }
    await this.world.simulation.settle(client.close())
  }

  /** Each record of the source counts once, whatever died in between. */
  private checkProcessors(): void {
    if (this.anyLost) return
    const source = new Map<string, number>()
    for (const [key, { records }] of this.logs) {
      if (split(key)[0] !== SOURCE) continue
      for (const { value } of records) source.set(value, (source.get(value) ?? 0) + 1)
    }
    const results = new Map<string, number>()
    for (const [key, { records, aborted }] of this.logs) {
      if (split(key)[0] !== SINK) continue
      for (const { offset, value } of records) if (!aborted.has(offset)) results.set(value, (results.get(value) ?? 0) + 1)
    }
    for (const [value, times] of source)
      if ((results.get(value) ?? 0) !== times)
        this.fail(
          'each counts once',
          `${value} is ${times} times in the source, and ${results.get(value) ?? 0} times in the results`,
        )
    for (const value of results.keys())
      if (!source.has(value)) this.fail('each counts once', `${value} is in the results, and not in the source`)
  }

  /** Whether the processors have come to the end of the source. */
  async isProcessed(): Promise<boolean> {
    if (this.world.image?.topic(SOURCE) === undefined) return true
    const seen = { [SOURCE]: 0, [SINK]: 0 }
    for (const topic of [SOURCE, SINK] as const) {
      for (const partition of this.leaders(topic)) {
        const { records, aborted } = await this.readLog(partition, true)
        seen[topic] += records.filter(({ offset }) => !aborted.has(offset)).length
      }
    }
    return seen[SINK] >= seen[SOURCE]
  }

  private leaders(topic: string): Partition[] {
    const records = this.world.image?.topic(topic)?.partitions ?? []
    return records.flatMap(({ leader }, index) => {
      const found = [...(this.world.nodes.get(leader)?.view?.partitions() ?? [])]
      return found.filter((partition) => partition.topic === topic && partition.index === index)
    })
  }
}

function split(key: string): [string, number] {
  const slash = key.lastIndexOf('/')
  return [key.slice(0, slash), Number(key.slice(slash + 1))]
}
