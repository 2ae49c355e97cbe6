// Histories of whole clusters: real brokers, controllers, coordinators and clients in one process, in simulated time, over a network, disks and an
// etcd that fail as the scenario says.
//
// *Strategy*: scenarios are drawn from seeds (cluster-scenario.ts), each with some kinds of faults and a workload of our own clients.
// *Invariants*: cluster-invariants.ts after every event, cluster-judge.ts in the end; and within a time after all is healed every
// partition has a leader and all its replicas, and all clients go on.

import { type RunningProducer, type RunningReader, type SimulatedClient, startClient } from './cluster-clients.ts'
import { ClusterFaults } from './cluster-faults.ts'
import { ClusterInvariants } from './cluster-invariants.ts'
import { ClusterJudge } from './cluster-judge.ts'
import { Ledger } from './cluster-ledger.ts'
import { type Scenario, VOLATILE_TOPIC } from './cluster-scenario.ts'
import { ClusterViolation, ClusterWorld } from './cluster-world.ts'
import type { Tally } from './simulation.ts'

export interface ClusterFacts {
  /** How often what has happened. */
  readonly tally: Tally
  /** Of all that happened: two runs of a scenario have the same. */
  readonly hash: string
  readonly events: number
}

/** Within so much of simulated time each step after healing must come to its end. */
const LIVELY_MS = 90_000
/** Far more than the workloads bring about. */
const EVENTS_PER_SECOND = 20_000
/** Whatever is on its way arrives within this time, once all is healed. */
const SETTLES_MS = 500
/** How long clients go on after everything is healed. */
const AFTERMATH_MS = 1_000
/** Of those invariants that are looked at now and then. */
const LOOK_EVERY_EVENTS = 200

/** Rejects with ClusterViolation. `trace` is filled with what happens, if given. */
export async function runScenario(scenario: Scenario, trace?: string[]): Promise<ClusterFacts> {
  const { stackTraceLimit } = Error
  // Errors are part of the plan here, and their stacks take longer than all the rest.
  if (trace === undefined) Error.stackTraceLimit = 0
  const history = new ClusterHistory(scenario, trace)
  try {
    return await history.run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

class ClusterHistory {
  private readonly scenario: Scenario
  private readonly world: ClusterWorld
  private readonly ledger: Ledger
  private readonly invariants: ClusterInvariants
  private readonly judge: ClusterJudge
  private readonly faults: ClusterFaults
  private readonly clients: SimulatedClient[] = []
  private events = 0
  private pace = { sinceUs: 0, events: 0 }

  constructor(scenario: Scenario, trace: string[] | undefined) {
    this.scenario = scenario
    this.world = new ClusterWorld(scenario, trace)
    this.invariants = new ClusterInvariants(this.world)
    this.ledger = new Ledger(this.world.tally, (partition, sentence) => {
      const slash = partition.lastIndexOf('/')
      const [topic, index] = [partition.slice(0, slash), Number(partition.slice(slash + 1))]
      if (topic !== VOLATILE_TOPIC && !this.invariants.isTainted(topic, index))
        this.world.fail('an offset shows one record', sentence)
    })
    this.judge = new ClusterJudge(this.world, this.ledger, this.invariants)
    this.faults = new ClusterFaults(this.world)
  }

  async run(): Promise<ClusterFacts> {
    const { world, faults, scenario, clients } = this
    for (const node of world.nodes.values()) node.start()
    await this.until('brokers start', () => [...world.nodes.values()].every((node) => node.isServing))
    await this.finish('topics are made', faults.createTopics())
    for (const plan of scenario.clients) clients.push(startClient(world, this.ledger, plan))
    const startUs = world.simulation.nowUs
    faults.plan(scenario.faults)
    await this.until('time passes', () => world.simulation.nowUs >= startUs + scenario.durationMs * 1000)
    faults.heal()
    const healedUs = world.simulation.nowUs
    await this.until('time passes', () => world.simulation.nowUs >= healedUs + AFTERMATH_MS * 1000)
    await this.calmDown()
    await this.judge.judge(clients)
    world.tally.count('tainted partitions', this.invariants.taintedCount)
    world.note(`the end, after ${this.events} events`)
    return { tally: world.tally, hash: world.digest(), events: this.events }
  }

  private async calmDown(): Promise<void> {
    const { world, faults, judge } = this
    const of = (...kinds: string[]) => this.clients.filter(({ plan }) => kinds.includes(plan.kind))
    await this.stop(of('producer', 'transactions'))
    await this.until('administrators are answered', () => faults.underWay === 0)
    await this.until(
      'all replicas are in sync',
      () => this.unhealthy() === undefined,
      () => this.unhealthy(),
    )
    for (const producer of of('producer')) await this.sendLast(producer as RunningProducer)
    // Nobody says when what is sent with acks=0 arrives.
    const sentUs = world.simulation.nowUs
    await this.until('time passes', () => world.simulation.nowUs >= sentUs + SETTLES_MS * 1000)
    await this.until(
      'transactions end',
      () => this.openTransaction() === undefined,
      () => this.openTransaction(),
    )
    // Positions of what is lost lie in front of what is not.
    if (of('processor').length > 0 && this.invariants.taintedCount === 0)
      await this.finish('processors come to the end', this.untilProcessed(judge))
    await this.stop(of('processor'))
    await this.stop(of('member'))
    await this.until(
      'all replicas are in sync',
      () => this.unhealthy() === undefined,
      () => this.unhealthy(),
    )
    await this.until(
      'transactions end',
      () => this.openTransaction() === undefined,
      () => this.openTransaction(),
    )
    for (const reader of of('reader'))
      await this.until(
        'readers come to the end',
        () => this.behind(reader as RunningReader) === undefined,
        () => this.behind(reader as RunningReader),
      )
    await this.stop(of('reader'))
    await this.finish('clients close', faults.close())
    this.invariants.checkAll()
    world.rethrow()
  }

  private async untilProcessed(judge: ClusterJudge): Promise<void> {
    while (!(await judge.isProcessed())) await new Promise<void>((resolve) => this.world.simulation.after(500_000, resolve))
  }

  /** To each partition, now that nothing is in the way. */
  private async sendLast(producer: RunningProducer): Promise<void> {
    const { topic, acks } = producer.plan
    for (const index of this.world.image?.topic(topic)?.partitions.keys() ?? []) {
      const sent = await this.finish('producers go on', producer.last(index))
      if (acks !== 0 && sent.outcome !== 'acknowledged')
        throw new ClusterViolation('producers go on', `${sent.value} is ${sent.outcome}`)
    }
  }

  private async stop(clients: readonly SimulatedClient[]): Promise<void> {
    for (const client of clients) client.stop()
    for (const client of clients) await this.finish('clients end', client.ended, () => client.plan.name)
  }

  // ── what healthy means ────────────────────────────────────────────────────────────────────────────────────────────

  /** What is not as it should be; undefined where all is well. */
  private unhealthy(): string | undefined {
    const { image, nodes } = this.world
    if (image === undefined) return 'there is no metadata'
    for (const node of nodes.values()) {
      const broker = image.broker(node.id)
      if (!node.isServing || broker === undefined || broker.fenced || broker.inControlledShutdown)
        return `broker ${node.id} is ${node.isServing ? 'fenced' : 'not serving'}: ${JSON.stringify(broker)}`
    }
    for (const topic of image.topics()) {
      for (const [index, record] of topic.partitions.entries()) {
        const name = `${topic.name}-${index}`
        if (record.isr.length < record.replicas.length || record.adding.length + record.removing.length > 0)
          return `${name} is ${JSON.stringify(record)}`
        const replicas = record.replicas.map((id) => {
          for (const partition of nodes.get(id)!.view!.partitions())
            if (partition.topicId === topic.id && partition.index === index) return { id, partition }
          return { id, partition: undefined }
        })
        const leader = replicas.find(({ id }) => id === record.leader)?.partition
        if (leader?.leader?.leaderEpoch !== record.leaderEpoch) return `${name} is not led by ${record.leader}`
        if (leader.leader.pending !== undefined) return `${name} waits for a change of its ISR`
        for (const { id, partition } of replicas) {
          if (partition === undefined) return `broker ${id} has no ${name}`
          const { highWatermark, log } = partition
          if (log.endOffset !== leader.log.endOffset || highWatermark !== leader.log.endOffset)
            return `${name} at broker ${id}: ${highWatermark} of ${log.endOffset}, at its leader ${record.leader} ${leader.log.endOffset}`
        }
      }
    }
    return undefined
  }

  private *leaders() {
    for (const node of this.world.nodes.values())
      for (const partition of node.view?.partitions() ?? []) if (partition.leader !== undefined) yield { node, partition }
  }

  private openTransaction(): string | undefined {
    for (const { partition } of this.leaders())
      if (partition.lastStableOffset < partition.log.endOffset)
        return `${partition.topic}-${partition.index}: stable up to ${partition.lastStableOffset} of ${partition.log.endOffset}`
    return undefined
  }

  private behind(reader: RunningReader): string | undefined {
    for (const { partition } of this.leaders()) {
      if (partition.topic !== reader.plan.topic) continue
      const position = reader.position(`${partition.topic}/${partition.index}`)
      if (position < partition.log.endOffset)
        return `${reader.plan.name} stands at ${position} of ${partition.log.endOffset} in ${partition.topic}-${partition.index}`
    }
    return undefined
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  private async step(): Promise<void> {
    if (!(await this.world.simulation.step())) throw new ClusterViolation('something happens', 'nothing is planned any more')
    this.events++
    this.checkPace()
    this.invariants.check()
    if (this.events % LOOK_EVERY_EVENTS === 0) this.invariants.checkAll()
  }

  /** Whoever asks again at once, and again, does so for ever on a real machine. */
  private checkPace(): void {
    const { nowUs } = this.world.simulation
    if (nowUs - this.pace.sinceUs > 1_000_000) this.pace = { sinceUs: nowUs, events: 0 }
    if (++this.pace.events > EVENTS_PER_SECOND) {
      this.world.fail('nobody spins', `more than ${EVENTS_PER_SECOND} events in a second`)
      this.world.rethrow()
    }
  }

  private async until(rule: string, condition: () => boolean, why: () => string | undefined = () => undefined): Promise<void> {
    const deadlineUs = this.world.simulation.nowUs + LIVELY_MS * 1000
    let atUs = -1
    for (;;) {
      // Conditions take longer than events.
      const { nowUs } = this.world.simulation
      if (nowUs - atUs >= 1000) {
        atUs = nowUs
        if (condition()) return
      }
      if (nowUs > deadlineUs) throw new ClusterViolation(rule, `not within ${LIVELY_MS} ms: ${why() ?? 'not yet'}`)
      await this.step()
    }
  }

  private async finish<T>(rule: string, work: Promise<T>, why: () => string | undefined = () => undefined): Promise<T> {
    let settled = false
    const mark = () => {
      settled = true
    }
    work.then(mark, mark)
    await this.world.simulation.turn()
    await this.until(rule, () => settled, why)
    return work.catch((error) => {
      throw new ClusterViolation(rule, (error as Error).message, { cause: error })
    })
  }
}
