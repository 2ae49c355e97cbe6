// Random histories of replicas: brokers die, lose their power, are cut off from each other and from the controller, and lead in turns,
// while producers write and consumers read. All from one seed.
//
// Invariants, after every event: at most one broker leads in an epoch; a leader's high watermark never falls in its epoch; whoever is in
// the ISR or ELR, and runs, has all that any leader ever took for committed; the leader counts at least everybody in the ISR.
// Whenever somebody reads: no offset ever shows two different records. In the end, with everything healed: replicas are in sync and
// equal, and what was acknowledged is where it was said to be.

import { createHash } from 'node:crypto'
import type { Partition } from '../cluster/replication/partition.ts'
import { defaultLogConfig, type FlushPolicy, type LogConfig } from '../log/log-config.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { baseOffset, batchSize, leaderEpoch, storedCrc } from '../protocol/records/batch-header.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import { type ReplicaBroker, ReplicaCluster } from './replica-cluster.ts'
import { recordBatch } from './replica-fixture.ts'
import { type Dice, Simulation } from './simulation.ts'

/** A promise that was not kept. */
export class ReplicationViolation extends Error {
  override readonly name = 'ReplicationViolation'
}

/** What the seeds are about, so that a fault which never bites is noticed. */
export interface ReplicationFacts {
  kills: number
  powerCuts: number
  elections: number
  truncations: number
  shrinks: number
  expansions: number
  acknowledged: number
  refused: number
  reads: number
  /** Of all that happened: two runs of a seed have the same. */
  hash: string
}

interface Fingerprint {
  readonly epoch: number
  readonly crc: number
}

const NEVER = Number.POSITIVE_INFINITY
const HEALED_WITHIN_MS = 120_000

export async function runReplicationHistory(seed: number, trace?: (line: string) => void): Promise<ReplicationFacts> {
  const history = new ReplicationHistory(seed, trace)
  try {
    return await history.run()
  } catch (error) {
    throw new ReplicationViolation(`seed ${seed}: ${(error as Error).message}`, { cause: error })
  }
}

class ReplicationHistory {
  private readonly simulation: Simulation
  private readonly dice: Dice
  private readonly cluster: ReplicaCluster
  private readonly policy: FlushPolicy
  private readonly minIsr: number
  private readonly replicas: readonly number[]
  private readonly down = new Map<number, 'noticed' | 'unnoticed'>()
  /** What anybody has been shown, by offset. */
  private readonly seen = new Map<bigint, Fingerprint>()
  private readonly acknowledged = new Map<bigint, string>()
  private readonly leaders = new Map<number, number>()
  private readonly highWatermarks = new Map<string, bigint>()
  /** The highest that any leader had. */
  private committed = 0n
  private values = 0
  private holding: Promise<void> | undefined
  private failure: Error | undefined
  private readonly hash = createHash('sha1')
  private readonly trace: ((line: string) => void) | undefined
  private readonly facts: ReplicationFacts = {
    kills: 0,
    powerCuts: 0,
    elections: 0,
    truncations: 0,
    shrinks: 0,
    expansions: 0,
    acknowledged: 0,
    refused: 0,
    reads: 0,
    hash: '',
  }

  constructor(seed: number, trace: ((line: string) => void) | undefined) {
    this.trace = trace
    this.simulation = new Simulation(seed)
    const dice = this.simulation.stream('history')
    this.dice = dice
    this.policy = dice.pick<FlushPolicy>(['os', 'os', 'group'])
    const brokers = dice.between(2, 4)
    this.replicas = Array.from({ length: Math.min(brokers, dice.between(2, 3)) }, (_, i) => i + 1)
    this.minIsr = dice.between(1, 2)
    const config: LogConfig = {
      ...defaultLogConfig,
      flushPolicy: this.policy,
      retentionMs: -1,
      segmentBytes: dice.pick([300, 1000, 100_000]),
      indexIntervalBytes: 100,
    }
    this.cluster = new ReplicaCluster(this.simulation, {
      brokers,
      config,
      minIsr: this.minIsr,
      lagTimeMaxMs: dice.pick([200, 1000]),
      cacheBytes: dice.pick([0, 500, 1_000_000]),
      onEvent: (id, event) => {
        this.note(`${id}: ${JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`)
        if (event.event === 'isr-shrinks') this.facts.shrinks++
        if (event.event === 'isr-grows') this.facts.expansions++
        if (event.event === 'log-truncated') this.facts.truncations++
        if (event.event === 'committed-records-lost')
          this.fail(`broker ${id} cuts what was committed: ${event.from} to ${event.to}`)
        if (event.event === 'leadership-refused') this.fail(`broker ${id} is told to lead in an epoch that has been`)
      },
    })
    this.cluster.holdIsrChange = () => this.holding
  }

  async run(): Promise<ReplicationFacts> {
    const { cluster, dice, simulation } = this
    // On a slow network news of what is committed is late, and elections come in between.
    cluster.network.latencyUs = dice.pick([
      { least: 50, most: 500 },
      { least: 1000, most: 10_000 },
      { least: 5000, most: 60_000 },
    ])
    await simulation.settle(cluster.start())
    cluster.createTopic('t', [this.replicas])
    for (let step = dice.between(15, 50); step > 0; step--) {
      await this.step()
      await this.advance(dice.pick([0, 1, 5, 30, 100, 200, 800]))
      if (dice.chance(0.1)) this.elect()
    }
    await this.heal()
    await this.judge()
    this.facts.hash = this.hash.digest('hex')
    return this.facts
  }

  private note(line: string): void {
    const text = `${this.simulation.nowUs} ${line}`
    this.hash.update(text)
    this.trace?.(text)
  }

  private fail(sentence: string): void {
    this.failure ??= new ReplicationViolation(sentence)
  }

  // ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

  private async step(): Promise<void> {
    const { dice } = this
    const what = dice.pick([
      'produce',
      'produce',
      'produce',
      'produce',
      'burst',
      'burst',
      'read',
      'stop',
      'start',
      'start',
      'cut',
      'heal',
      'cut off',
      'reconnect',
      'elect',
      'hold',
      'slow',
    ])
    switch (what) {
      case 'produce':
        return this.produce()
      case 'burst':
        return this.burst()
      case 'read':
        return this.read()
      case 'stop':
        return this.stop()
      case 'start':
        return this.start()
      case 'cut':
        return this.cut()
      case 'heal':
        this.note('heal')
        return this.cluster.network.healAll()
      case 'cut off':
        return this.cutOff()
      case 'reconnect':
        return this.reconnect()
      case 'elect':
        return this.elect()
      case 'hold':
        return this.hold()
      case 'slow': {
        const broker = this.anyBroker()
        if (broker !== undefined) this.cluster.disk(broker.id).slow = dice.chance(0.5)
      }
    }
  }

  private anyBroker(): ReplicaBroker | undefined {
    const running = [...this.cluster.brokers.values()]
    return running.length === 0 ? undefined : this.dice.pick(running)
  }

  private produce(): void {
    const { dice } = this
    const leaders = [...this.cluster.brokers.values()].filter((broker) => broker.partition()?.leader !== undefined)
    if (leaders.length === 0) return
    const broker = dice.pick(leaders)
    const partition = broker.partition()!
    for (let i = dice.between(1, 5); i > 0; i--) {
      const value = `value ${this.values++}`
      const acks = dice.chance(0.75) ? -1 : 1
      try {
        const { lastOffset } = partition.append(recordBatch(value), { origin: 'client' }, acks)
        this.note(`produce ${value} at ${broker.id} in ${partition.leaderEpoch}: ${lastOffset}`)
        const there = () => {
          if (acks !== -1) return
          this.note(`acknowledged ${lastOffset}: ${value}`)
          this.facts.acknowledged++
          if (this.acknowledged.has(lastOffset)) this.fail(`offset ${lastOffset} is acknowledged twice`)
          this.acknowledged.set(lastOffset, value)
        }
        const wait = partition.awaitAcks(acks, lastOffset + 1n, NEVER)
        if (wait === undefined) there()
        wait?.then(there, () => this.facts.refused++)
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        this.facts.refused++
      }
    }
  }

  /** An election in the midst of writes, when each replica has come as far as its link let it, and heard of as much. */
  private async burst(): Promise<void> {
    const { cluster, dice } = this
    for (let i = dice.between(3, 8); i > 0; i--) {
      this.produce()
      if (dice.chance(0.4)) this.cut()
      await this.advance(dice.between(0, 60))
      if (dice.chance(0.4)) cluster.network.healAll()
    }
    this.elect()
    if (dice.chance(0.5)) cluster.network.healAll()
  }

  /** As a consumer, at any replica. */
  private read(): void {
    const partition = this.anyBroker()?.partition()
    if (partition === undefined || partition.failure !== undefined) return
    this.facts.reads++
    const { highWatermark, logStartOffset } = partition
    if (highWatermark <= logStartOffset) return
    const from = logStartOffset + BigInt(this.dice.below(Number(highWatermark - logStartOffset)))
    this.readFrom(partition, from, highWatermark).catch((error) => {
      // Cut, closed or killed meanwhile.
      if (!(error instanceof KafkaError)) this.failure ??= error
    })
  }

  private async readFrom(partition: Partition, from: bigint, limitOffset: bigint): Promise<void> {
    const read = await partition.log.read(from, { maxBytes: 2000, limitOffset, atLeastOneBatch: true })
    for (const chunk of read.chunks) for (const at of eachBatch(chunk)) this.show(chunk, at)
  }

  private show(chunk: Buffer, at: number): void {
    const offset = baseOffset(chunk, at)
    const shown = { epoch: leaderEpoch(chunk, at), crc: storedCrc(chunk, at) }
    const before = this.seen.get(offset)
    this.seen.set(offset, before ?? shown)
    if (before === undefined || (before.epoch === shown.epoch && before.crc === shown.crc)) return
    this.fail(`offset ${offset} shows two records, of epochs ${before.epoch} and ${shown.epoch}`)
  }

  private stop(): void {
    const { cluster, dice } = this
    // One after the other: what two lose at the same moment, nobody can be expected to have.
    if ([...this.down.values()].includes('unnoticed')) return
    const broker = this.anyBroker()
    if (broker === undefined) return
    const { isr } = cluster.record()
    const others = isr.some((id) => id !== broker.id && cluster.brokers.has(id))
    const how =
      dice.chance(0.5) && (this.policy === 'group' || others || !this.replicas.includes(broker.id)) ? 'power cut' : 'kill'
    this.note(`${how} ${broker.id}`)
    if (how === 'kill') this.facts.kills++
    else this.facts.powerCuts++
    cluster.stop(broker.id, how)
    this.down.set(broker.id, 'unnoticed')
    this.simulation.after(dice.between(1, 600) * 1000, () => {
      if (this.down.get(broker.id) !== 'unnoticed') return
      this.note(`notice ${broker.id}`)
      this.down.set(broker.id, 'noticed')
      cluster.fence(broker.id)
    })
  }

  private async start(): Promise<void> {
    const [id] = this.down.keys()
    if (id === undefined) return
    this.note(`start ${id}`)
    this.down.delete(id)
    await this.simulation.settle(this.cluster.startBroker(id))
  }

  private cut(): void {
    const { cluster, dice } = this
    const ids = [...cluster.brokers.keys()]
    if (ids.length < 2) return
    const [from, to] = [dice.pick(ids), dice.pick(ids)]
    if (from === to) return
    this.note(`cut ${from} from ${to}`)
    cluster.network.cut(`broker-${from}`, `broker-${to}`)
    if (dice.chance(0.5)) cluster.network.cut(`broker-${to}`, `broker-${from}`)
  }

  /** From the controller, which after a while may take the broker for dead: then it goes on leading, for all that it knows. */
  private cutOff(): void {
    const { cluster } = this
    const broker = this.anyBroker()
    if (broker === undefined || cluster.cutOff.size > 0 || [...this.down.values()].includes('unnoticed')) return
    this.note(`cut off ${broker.id}`)
    cluster.cutOffFromController(broker.id)
  }

  private reconnect(): void {
    for (const id of [...this.cluster.cutOff]) {
      this.note(`reconnect ${id}`)
      this.cluster.reconnect(id)
    }
  }

  private elect(): void {
    const { cluster, dice } = this
    const { isr, leader } = cluster.record()
    const candidates = isr.filter((id) => id !== leader && cluster.image.broker(id)?.fenced === false)
    if (candidates.length === 0) return
    const elected = dice.pick(candidates)
    this.note(`elect ${elected}`)
    cluster.elect(elected)
  }

  private hold(): void {
    if (this.holding !== undefined) return
    this.note('hold changes of the ISR')
    this.holding = new Promise((resolve) => {
      this.simulation.after(this.dice.between(100, 3000) * 1000, () => {
        this.holding = undefined
        resolve()
      })
    })
  }

  // ── what must hold ────────────────────────────────────────────────────────────────────────────────────────────────

  private async advance(ms: number): Promise<void> {
    let over = false
    this.simulation.after(ms * 1000, () => {
      over = true
    })
    while (!over) {
      await this.simulation.step()
      this.check()
    }
    await this.showCommitted()
  }

  private check(): void {
    const { cluster } = this
    const record = cluster.record()
    for (const broker of cluster.brokers.values()) {
      const partition = broker.partition()
      const leader = partition?.leader
      if (partition === undefined || leader === undefined) continue
      const { leaderEpoch: epoch } = leader
      const known = this.leaders.get(epoch)
      if (known === undefined) {
        this.note(`${broker.id} leads in ${epoch}`)
        this.facts.elections++
        this.leaders.set(epoch, broker.id)
      } else if (known !== broker.id) this.fail(`brokers ${known} and ${broker.id} lead in epoch ${epoch}`)
      const key = `${broker.id}/${broker.epoch}/${epoch}`
      const before = this.highWatermarks.get(key) ?? 0n
      if (partition.highWatermark < before) this.fail(`the high watermark falls from ${before} to ${partition.highWatermark}`)
      this.highWatermarks.set(key, partition.highWatermark)
      if (partition.highWatermark > this.committed) this.committed = partition.highWatermark
      if (epoch !== record.leaderEpoch) continue
      const missing = record.isr.find((id) => !leader.isInMaximalIsr(id))
      if (missing !== undefined) this.fail(`the leader does not count ${missing}, who is in the ISR`)
    }
    for (const id of [...record.isr, ...record.elr]) {
      const broker = cluster.brokers.get(id)
      const log = broker?.partition()?.log
      if (log === undefined || broker?.epoch !== cluster.image.broker(id)?.epoch) continue
      if (log.endOffset < this.committed) {
        this.fail(`broker ${id} is in the ISR or ELR, and ends at ${log.endOffset}; ${this.committed} was committed`)
      }
    }
    if (this.failure !== undefined) throw this.failure
  }

  /** What a leader takes for committed is what everybody is shown from then on. */
  private async showCommitted(): Promise<void> {
    for (const broker of [...this.cluster.brokers.values()]) {
      const partition = broker.partition()
      if (partition?.leader === undefined || this.seen.has(partition.highWatermark - 1n)) continue
      const from = partition.highWatermark > 10n ? partition.highWatermark - 10n : partition.logStartOffset
      const reading = this.readFrom(partition, from, partition.highWatermark).catch((error) => {
        if (!(error instanceof KafkaError)) throw error
      })
      await this.simulation.settle(reading)
    }
    if (this.failure !== undefined) throw this.failure
  }

  private async heal(): Promise<void> {
    const { cluster } = this
    this.note('heal everything')
    cluster.network.healAll()
    this.reconnect()
    while (this.down.size > 0) await this.start()
    for (const id of cluster.brokers.keys()) cluster.disk(id).slow = false
    const deadlineUs = this.simulation.nowUs + HEALED_WITHIN_MS * 1000
    while (!this.isHealed()) {
      await this.simulation.step()
      this.check()
      if (this.simulation.nowUs > deadlineUs) throw new ReplicationViolation(`not healed: ${this.state()}`)
    }
  }

  private isHealed(): boolean {
    const { cluster, replicas } = this
    const record = cluster.record()
    const leader = cluster.brokers.get(record.leader)?.partition()
    if (leader?.leader === undefined || record.isr.length < replicas.length || leader.leader.pending !== undefined) return false
    const { endOffset } = leader.log
    return replicas.every((id) => {
      const partition = cluster.brokers.get(id)?.partition()
      return partition?.log.endOffset === endOffset && partition.highWatermark === endOffset
    })
  }

  private state(): string {
    const { cluster } = this
    const replicas = [...cluster.brokers.values()].map((broker) => {
      const partition = broker.partition()
      const role = partition?.leader === undefined ? 'follows' : 'leads'
      return `${broker.id} ${role} in ${partition?.leaderEpoch}, ${partition?.highWatermark} of ${partition?.log.endOffset}`
    })
    return `${JSON.stringify(cluster.record())}; ${replicas.join('; ')}`
  }

  private async judge(): Promise<void> {
    const logs: Map<bigint, string>[] = []
    for (const id of this.replicas) {
      const { log } = this.cluster.broker(id).partition()!
      const values = new Map<bigint, string>()
      let next = log.logStartOffset
      while (next < log.endOffset) {
        const reading = Promise.resolve(log.read(next, { maxBytes: 100_000, limitOffset: log.endOffset, atLeastOneBatch: true }))
        const { chunks, nextOffset } = await this.simulation.settle(reading)
        for (const chunk of chunks) {
          for (const at of eachBatch(chunk)) {
            this.show(chunk, at)
            this.hash.update(chunk.subarray(at, at + batchSize(chunk, at)))
            for (const { offset, value } of decodeRecords(chunk, at)) values.set(offset, `${value}`)
          }
        }
        next = nextOffset
      }
      logs.push(values)
    }
    for (const [offset, value] of this.acknowledged) {
      for (const [i, log] of logs.entries()) {
        if (log.get(offset) !== value)
          this.fail(`${value} was acknowledged at ${offset}; there broker ${this.replicas[i]} has ${log.get(offset)}`)
      }
    }
    if (this.failure !== undefined) throw this.failure
  }
}
