// A simulated cluster as one history has it: machines, network, etcd and one place for what is noted, counted and found wrong.

import { createHash } from 'node:crypto'
import { ImagePublisher } from '../cluster/image-publisher.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import { clusterPrefix, keys, ROOT } from '../cluster/metadata-records.ts'
import type { ReplicationEvent } from '../cluster/replication/replication-event.ts'
import type { Op } from '../cluster/store/metadata-store.ts'
import type { Clock } from '../host/clock.ts'
import type { Random } from '../host/random.ts'
import { BROKER_PORT, ClusterNode, hostOf } from './cluster-node.ts'
import type { BrokerChoice, Scenario } from './cluster-scenario.ts'
import { type Journey, type RequestKind, SimEtcd } from './etcd.ts'
import { type SimHost, SimNetwork } from './network.ts'
import { SimClock, Simulation, Tally } from './simulation.ts'

/** A promise that was not kept. */
export class ClusterViolation extends Error {
  override readonly name = 'ClusterViolation'
  /** Of the promise: a smaller scenario shows the same fault only if it breaks the same one. */
  readonly rule: string

  constructor(rule: string, sentence: string, options?: ErrorOptions) {
    super(`${rule}: ${sentence}`, options)
    this.rule = rule
  }
}

/** What clients are given to live in. */
export interface ClientSurroundings {
  readonly network: SimHost
  readonly clock: Clock
  readonly random: Random
}

/** An etcd of the observer answers at once, and never fails. */
const OBSERVER = 'observer'

export class ClusterWorld {
  readonly scenario: Scenario
  readonly simulation: Simulation
  readonly network: SimNetwork
  readonly etcd: SimEtcd
  readonly nodes = new Map<number, ClusterNode>()
  readonly tally = new Tally()
  /** All of the cluster's metadata, without delay; undefined before the cluster is founded. */
  publisher: ImagePublisher | undefined
  /** Called with what brokers tell of their replicas, and with each commit. */
  onReplication: (broker: number, event: ReplicationEvent) => void = () => {}
  onCommit: (revision: number, ops: readonly Op[]) => void = () => {}
  /** How many of the requests to the store go wrong. */
  storeTrouble = 0
  private readonly clients = new Map<string, ClientSurroundings>()
  private readonly hash = createHash('sha1')
  private readonly trace: string[] | undefined
  private failure: Error | undefined

  constructor(scenario: Scenario, trace?: string[]) {
    this.scenario = scenario
    this.trace = trace
    const simulation = new Simulation(scenario.seed)
    this.simulation = simulation
    this.network = new SimNetwork(simulation)
    this.setLatency(scenario.latencyMs.least, scenario.latencyMs.most)
    const slack = simulation.stream('lease-slack')
    this.etcd = new SimEtcd({
      clock: new SimClock(simulation),
      random: simulation.stream('etcd'),
      journey: (handle, kind) => this.journey(handle, kind),
      leaseSlackMs: () => slack.between(100, 2000),
    })
    this.etcd.onCommit = (revision, _guards, ops) => this.committed(revision, ops)
    const log = (id: number, level: string, line: string) => this.brokerSays(id, level, line)
    for (let id = 1; id <= scenario.brokers; id++) {
      const node = new ClusterNode(id, {
        simulation,
        network: this.network,
        etcd: this.etcd,
        settings: scenario.settings,
        log,
        replicated: (broker, event) => this.onReplication(broker, event),
        fail: (error) => this.fail('brokers start', String((error as Error).stack)),
      })
      this.nodes.set(id, node)
    }
  }

  /** The metadata now. */
  get image(): MetadataImage | undefined {
    return this.publisher?.image
  }

  get bootstrapServers(): string {
    return [...this.nodes.keys()].map((id) => `${hostOf(id)}:${BROKER_PORT}`).join()
  }

  get hosts(): string[] {
    return [...this.nodes.values()].map((node) => node.host)
  }

  get clientHosts(): string[] {
    return [...this.clients.keys()]
  }

  setLatency(leastMs: number, mostMs: number): void {
    this.network.latencyUs = { least: Math.round(leastMs * 1000), most: Math.round(mostMs * 1000) }
  }

  /** For a client with this name. */
  client(name: string): ClientSurroundings {
    let known = this.clients.get(name)
    if (known === undefined) {
      const { simulation, network } = this
      known = { network: network.host(name), clock: new SimClock(simulation), random: simulation.stream(`client ${name}`) }
      this.clients.set(name, known)
    }
    return known
  }

  /** Undefined where nobody is that now. */
  choose(choice: BrokerChoice): ClusterNode | undefined {
    if (typeof choice === 'number') return this.nodes.get(choice)
    const { image } = this
    if (choice === 'controller') return this.nodes.get(image?.controller?.brokerId ?? 0)
    const [topic] = this.scenario.topics
    const name = choice === 'leader' ? (topic?.name ?? '') : '__consumer_offsets'
    return this.nodes.get(image?.partition(name, 0)?.leader ?? 0)
  }

  // ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────

  note(line: string): void {
    const text = `${(this.simulation.nowUs / 1000).toFixed(3)} ${line}`
    this.hash.update(text)
    this.trace?.push(text)
  }

  /** Of all that was noted: two runs of a scenario have the same. */
  digest(): string {
    return this.hash.copy().digest('hex')
  }

  fail(rule: string, sentence: string): void {
    if (this.failure !== undefined) return
    this.note(`VIOLATION ${rule}: ${sentence}`)
    this.failure = new ClusterViolation(rule, sentence)
  }

  rethrow(): void {
    if (this.failure !== undefined) throw this.failure
  }

  private brokerSays(id: number, level: string, line: string): void {
    this.note(`${id} ${level}: ${line}`)
    if (level === 'error' && A_BUG.test(line)) this.fail('no bugs are told', `broker ${id}: ${line}`)
    if (level === 'error') this.tally.count('errors told by brokers')
    if (line.startsWith('this broker is no longer the controller')) this.tally.count('controllers deposed')
    if (line.startsWith('this broker is the controller')) this.tally.count('controllers elected')
  }

  // ── the store ─────────────────────────────────────────────────────────────────────────────────────────────────────

  private journey(handle: string, kind: RequestKind): Journey {
    if (handle === OBSERVER) return { thereMs: 0, backMs: 0 }
    const dice = this.simulation.stream(`etcd ${handle}`)
    const journey = { thereMs: dice.between(100, 2000) / 1000, backMs: dice.between(100, 2000) / 1000 }
    if (!dice.chance(this.storeTrouble)) return journey
    const trouble = dice.pick(['no answer', 'never there', 'late', 'late answer'] as const)
    this.tally.count(`requests to the store (${kind}): ${trouble}`)
    if (trouble === 'no answer') return { ...journey, backMs: Number.POSITIVE_INFINITY }
    if (trouble === 'never there') return { ...journey, thereMs: Number.POSITIVE_INFINITY }
    if (trouble === 'late') return { ...journey, thereMs: dice.between(100, 4000) }
    return { ...journey, backMs: dice.between(100, 4000) }
  }

  private committed(revision: number, ops: readonly Op[]): void {
    for (const op of ops) {
      if (!('put' in op) || this.publisher !== undefined || !op.put.startsWith(ROOT) || !op.put.endsWith(`/${keys.cluster}`))
        continue
      const prefix = clusterPrefix(op.put.slice(ROOT.length, -keys.cluster.length - 1))
      this.follow(prefix).catch((error) => this.fail('the metadata can be followed', (error as Error).message))
    }
    this.note(`store ${revision}: ${ops.map(describe).join(' ')}`)
    this.onCommit(revision, ops)
  }

  private async follow(prefix: string): Promise<void> {
    const handle = this.etcd.handle(OBSERVER, new SimClock(this.simulation))
    this.publisher = await ImagePublisher.start(handle, prefix)
    this.onFollowed()
  }

  /** There is an image to look at from now on. */
  onFollowed: () => void = () => {}
}

/** Errors of the language, and of assertions: those of the world and of clients have names of their own. */
const A_BUG = /(?:^|: )(?:Type|Range|Reference|Assertion|Syntax)?Error\b/

function describe(op: Op): string {
  const name = (key: string) => key.slice(key.indexOf('/', ROOT.length) + 1)
  if ('put' in op) return `${name(op.put)}=${Buffer.from(op.value)}`
  return 'delete' in op ? `-${name(op.delete)}` : `-${name(op.deletePrefix)}*`
}
