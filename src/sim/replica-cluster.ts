// Brokers that replicate, in simulated time: real logs, replica managers, fetch handlers and connections, over a disk and a network that
// fail as they are told. The controller is a script: it follows the real one's rules (partition-change.ts) without its election and store.

import { AppliedImage } from '../broker/applied-image.ts'
import { FetchSessions } from '../broker/fetch-sessions.ts'
import { handlersByKey } from '../broker/handlers/all-handlers.ts'
import { SocketServer } from '../broker/network/socket-server.ts'
import { RequestDispatcher } from '../broker/request-dispatcher.ts'
import type { Services } from '../broker/services.ts'
import { BufferPool } from '../bytes/buffer-pool.ts'
import { ConnectionError } from '../client/errors.ts'
import { changePartition, type PartitionTargets } from '../cluster/controller/partition-change.ts'
import { type MetadataDelta, MetadataImage } from '../cluster/metadata-image.ts'
import { encodePartition, encodeRecord, keys, newPartition, type PartitionRecord } from '../cluster/metadata-records.ts'
import type { IsrChange } from '../cluster/replication/isr-changes.ts'
import { ReplicaManager } from '../cluster/replication/replica-manager.ts'
import type { ReplicationEvent } from '../cluster/replication/replication-event.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import type { LogConfig } from '../log/log-config.ts'
import { LogManager } from '../log/log-manager.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { TopicId } from '../protocol/ids.ts'
import { SimDisk } from './disk.ts'
import { type SimHost, SimNetwork } from './network.ts'
import { type Dice, SimClock, type Simulation } from './simulation.ts'

const PORT = 9092
const ANNOUNCED = [...handlersByKey.values()].map(({ api, announced: { min, max } }) => ({
  apiKey: api.key,
  minVersion: min,
  maxVersion: max,
}))
const CONFIG = loadStaticConfig({ settings: [] }).config

export interface ReplicaClusterOptions {
  readonly brokers: number
  readonly config: LogConfig
  readonly minIsr?: number
  readonly lagTimeMaxMs?: number
  readonly racks?: Readonly<Record<number, string>>
  /** replica.selector.class and the like. */
  readonly settings?: Readonly<Record<string, string>>
  /** Newest batches of a broker that are kept in memory. Default: many. */
  readonly cacheBytes?: number
  readonly onEvent?: (brokerId: number, event: ReplicationEvent) => void
}

export class ReplicaCluster {
  readonly simulation: Simulation
  readonly network: SimNetwork
  readonly dice: Dice
  readonly options: ReplicaClusterOptions
  /** As the controller has it; brokers hear of it later. */
  image = MetadataImage.empty()
  readonly brokers = new Map<number, ReplicaBroker>()
  private readonly machines = new Map<number, { disk: SimDisk; clock: SimClock }>()
  private readonly topics = new Map<string, TopicId>()
  private revision = 0
  /** Brokers that cannot reach the controller, nor be reached. */
  readonly cutOff = new Set<number>()
  /** What the controller has not told them meanwhile. */
  private readonly untold = new Map<number, (() => void)[]>()
  /** Called before the controller looks at a change of the ISR: a test may hold it back. */
  holdIsrChange: (change: IsrChange, brokerId: number) => Promise<void> | undefined = () => undefined

  constructor(simulation: Simulation, options: ReplicaClusterOptions) {
    this.simulation = simulation
    this.options = options
    this.network = new SimNetwork(simulation)
    this.dice = simulation.stream('controller')
  }

  async start(): Promise<this> {
    for (let id = 1; id <= this.options.brokers; id++) {
      this.machines.set(id, { disk: SimDisk.create(this.simulation), clock: new SimClock(this.simulation) })
      await this.startBroker(id)
    }
    return this
  }

  broker(id: number): ReplicaBroker {
    const broker = this.brokers.get(id)
    if (broker === undefined) throw new Error(`broker ${id} does not run`)
    return broker
  }

  // ── what happens to brokers ───────────────────────────────────────────────────────────────────────────────────────

  /** The process ends; with the power goes what was not flushed. The controller does not know it yet. */
  stop(id: number, how: 'kill' | 'power cut'): void {
    const broker = this.broker(id)
    this.brokers.delete(id)
    const machine = this.machines.get(id)!
    broker.host.kill()
    machine.disk = how === 'kill' ? machine.disk.kill() : machine.disk.crash()
    machine.clock = machine.clock.restart()
  }

  /** The controller notices that a broker is gone. */
  fence(id: number): void {
    this.putBroker(id, { fenced: true })
    this.changeAll((record) => (record.isr.includes(id) ? { isr: record.isr.filter((other) => other !== id) } : {}))
  }

  /** Comes back, or for the first time; after a stop that nobody can tell was a clean one. */
  async startBroker(id: number): Promise<ReplicaBroker> {
    const machine = this.machines.get(id)!
    const { disk } = machine
    const host = this.network.host(`broker-${id}`)
    const logs = await ReplicaBroker.openLogs(this, disk, machine.clock)
    // First out of all ISRs and ELRs, then registered in its new epoch.
    const without = (ids: readonly number[]) => ids.filter((other) => other !== id)
    this.changeAll((record) => (record.isr.includes(id) ? { isr: without(record.isr) } : {}), id)
    const epoch = this.revision + 1
    this.putBroker(id, { fenced: false, epoch })
    const broker = new ReplicaBroker(this, id, epoch, { logs, clock: machine.clock, host })
    this.brokers.set(id, broker)
    await broker.start(this.image)
    this.changeAll(() => ({}))
    return broker
  }

  disk(id: number): SimDisk {
    return this.machines.get(id)!.disk
  }

  /** From the controller only, or from everybody. */
  cutOffFromController(id: number): void {
    this.cutOff.add(id)
  }

  reconnect(id: number): void {
    this.cutOff.delete(id)
    for (const tell of this.untold.get(id)?.splice(0) ?? []) tell()
  }

  // ── what the controller is asked ──────────────────────────────────────────────────────────────────────────────────

  createTopic(name: string, partitions: readonly (readonly number[])[]): TopicId {
    const id = `Topic${String(this.revision).padStart(16, '0')}A` as TopicId
    this.topics.set(name, id)
    this.commit([
      [keys.topic(id), encodeRecord({ name, partitionCount: partitions.length, internal: false })],
      ...partitions.map((replicas, index): [string, Buffer] => [
        keys.partition(id, index),
        encodePartition(newPartition(replicas)),
      ]),
    ])
    return id
  }

  deleteTopic(name: string): void {
    const topic = this.image.topic(name)!
    this.commit([
      [keys.topic(topic.id), undefined],
      ...topic.partitions.map((_, index): [string, undefined] => [keys.partition(topic.id, index), undefined]),
    ])
  }

  record(topic = 't', index = 0): PartitionRecord {
    return this.image.partition(topic, index)!
  }

  /** Another in-sync replica leads. */
  elect(leader: number, topic = 't', index = 0): void {
    const { id } = this.image.topic(topic)!
    const { leaderEpoch, partitionEpoch, ...rest } = this.record(topic, index)
    this.put(id, index, { ...rest, leader, leaderEpoch: leaderEpoch + 1, partitionEpoch: partitionEpoch + 1 })
  }

  change(targets: PartitionTargets, topic = 't', index = 0): void {
    const { id } = this.image.topic(topic)!
    this.put(id, index, this.changed(this.record(topic, index), targets))
  }

  /** Without rules. */
  put(topicId: TopicId, index: number, record: PartitionRecord): void {
    this.commit([[keys.partition(topicId, index), encodePartition(record)]])
  }

  /** AlterPartition, as it arrives at the controller. Throws KafkaError. */
  alterPartition(brokerId: number, change: IsrChange): PartitionRecord {
    const topic = this.image.topicById(change.topicId)
    const before = topic?.partitions[change.index]
    if (topic === undefined || before === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID')
    if (change.leaderEpoch !== before.leaderEpoch || before.leader !== brokerId) throw new KafkaError('FENCED_LEADER_EPOCH')
    if (change.partitionEpoch !== before.partitionEpoch) throw new KafkaError('INVALID_UPDATE_VERSION')
    for (const member of change.isr) {
      const broker = this.image.broker(member.brokerId)
      const known = member.brokerEpoch === broker?.epoch || (member.brokerEpoch === -1 && before.isr.includes(member.brokerId))
      if (broker === undefined || broker.fenced || !known) throw new KafkaError('INELIGIBLE_REPLICA')
    }
    const isr = change.isr.map((member) => member.brokerId)
    const after = this.changed(before, { isr, recovering: change.recovering })
    if (after !== before) this.put(topic.id, change.index, after)
    return after
  }

  private changed(record: PartitionRecord, targets: PartitionTargets, unclean?: number): PartitionRecord {
    const mayLead = (id: number) => this.image.broker(id)?.fenced === false && id !== unclean
    return changePartition(record, targets, {
      minIsr: this.options.minIsr ?? 1,
      mayLead,
      election: 'online',
      unclean: (id) => id === unclean,
    })
  }

  private changeAll(targets: (record: PartitionRecord) => PartitionTargets, unclean?: number): void {
    for (const topic of this.image.topics()) {
      for (const [index, before] of topic.partitions.entries()) {
        const after = this.changed(before, targets(before), unclean)
        if (after !== before) this.put(topic.id, index, after)
      }
    }
  }

  private putBroker(id: number, change: { fenced: boolean; epoch?: number }): void {
    const known = this.image.broker(id)
    const record = {
      epoch: known?.epoch ?? 0,
      incarnation: '',
      endpoints: [{ name: 'PLAINTEXT', host: `broker-${id}`, port: PORT, securityProtocol: 'PLAINTEXT' }],
      rack: this.options.racks?.[id] ?? null,
      inControlledShutdown: false,
      logDirs: [],
      ...change,
    }
    this.commit([[keys.broker(id), encodeRecord(record)]])
  }

  private commit(writes: readonly (readonly [string, Buffer | undefined])[]): void {
    this.revision++
    const events = writes.map(([key, value]) =>
      value === undefined
        ? { delete: key }
        : { put: { key, value, created: this.revision, modified: this.revision, lease: null } },
    )
    const { image, delta } = this.image.apply(this.revision, events)
    this.image = image
    for (const broker of this.brokers.values()) this.tell(broker, () => broker.hear(image, delta))
  }

  private tell(broker: ReplicaBroker, news: () => void): void {
    const { id } = broker
    const arrive = () => {
      const waiting = this.untold.get(id) ?? []
      this.untold.set(id, waiting)
      if (this.cutOff.has(id)) waiting.push(arrive)
      else if (this.brokers.get(id) === broker) news()
    }
    broker.lastNewsUs = Math.max(broker.lastNewsUs + 1, this.simulation.nowUs + this.dice.between(100, 20_000))
    this.simulation.after(broker.lastNewsUs - this.simulation.nowUs, arrive)
  }

  /** There and back takes its time. Where the controller cannot be reached, nobody knows whether it was. */
  async propose(broker: ReplicaBroker, change: IsrChange): Promise<PartitionRecord> {
    await this.travel()
    const unreachable = () => this.cutOff.has(broker.id) || this.brokers.get(broker.id) !== broker
    const lost = new ConnectionError({ host: 'controller', port: 0 }, 'the controller cannot be reached')
    if (unreachable()) throw lost
    await this.holdIsrChange(change, broker.id)
    const record = this.alterPartition(broker.id, change)
    await this.travel()
    if (unreachable()) throw lost
    return record
  }

  private travel(): Promise<void> {
    return new Promise((resolve) => this.simulation.after(this.dice.between(100, 5000), resolve))
  }
}

/** One life of a broker's process. */
export class ReplicaBroker {
  readonly id: number
  readonly epoch: number
  readonly host: SimHost
  readonly logs: LogManager
  readonly replicas: ReplicaManager
  lastNewsUs = 0
  private readonly cluster: ReplicaCluster
  private readonly clock: SimClock
  private applied: AppliedImage | undefined
  private server: SocketServer | undefined

  static openLogs({ simulation, options }: ReplicaCluster, disk: SimDisk, clock: SimClock): Promise<LogManager> {
    return LogManager.open({
      disk,
      clock,
      random: simulation.stream('logs'),
      directories: ['/data'],
      config: () => options.config,
      limits: options.cacheBytes === undefined ? {} : { cacheBytes: options.cacheBytes },
      report: () => {},
    })
  }

  constructor(
    cluster: ReplicaCluster,
    id: number,
    epoch: number,
    { logs, clock, host }: { logs: LogManager; clock: SimClock; host: SimHost },
  ) {
    this.cluster = cluster
    this.id = id
    this.epoch = epoch
    this.host = host
    this.clock = clock
    this.logs = logs
    const { config, minIsr = 1, lagTimeMaxMs = 1000, onEvent } = cluster.options
    this.replicas = new ReplicaManager({
      nodeId: id,
      logs,
      clock,
      logConfig: () => config,
      minInsyncReplicas: () => minIsr,
      report: (event) => onEvent?.(id, event),
      replication: {
        network: host,
        random: cluster.simulation.stream(`fetchers-${id}`),
        brokerEpoch: () => epoch,
        tellPlaces: async () => {},
        isrChanges: { propose: (change) => cluster.propose(this, change) },
        settings: () => ({
          maxWaitMs: 500,
          minBytes: 1,
          maxBytes: 100_000,
          partitionMaxBytes: 10_000,
          backoffMs: 200,
          timeoutMs: 2000,
          lagTimeMaxMs,
          checkpointMs: 500,
          fetchersPerLeader: 1,
        }),
      },
    })
  }

  async start(image: MetadataImage): Promise<void> {
    await this.replicas.load(image)
    this.applied = new AppliedImage(
      image,
      (next, delta) => this.replicas.apply(next, delta),
      (error) => {
        throw error
      },
    )
    const settings = this.cluster.options.settings ?? {}
    const services = {
      nodeId: this.id,
      clock: this.clock,
      config: () => ({ get: (key: string) => settings[key] ?? CONFIG.get(key as 'fetch.max.bytes') }),
      image: () => this.applied!.current,
      metadata: { image: () => this.applied!.current },
      brokers: () => [],
      replicas: this.replicas,
      sessions: new FetchSessions(100, this.clock, this.cluster.simulation.stream('sessions')),
      announcedApis: ANNOUNCED,
      bug: (what: string, error: unknown) => {
        throw new Error(what, { cause: error })
      },
    } as unknown as Services
    this.server = new SocketServer({
      network: this.host,
      clock: this.clock,
      pool: new BufferPool(),
      maxFrameBytes: 10_000_000,
      maxConnections: 1000,
      maxConnectionsPerIp: 1000,
      maxIdleMs: 600_000,
      backlog: 10,
      serve: new RequestDispatcher(services).serve,
      admission: this.replicas.budget,
      report: () => {},
    })
    await this.server.listen({ name: 'PLAINTEXT', host: this.host.name, port: PORT })
  }

  hear(image: MetadataImage, delta: MetadataDelta): void {
    this.applied!.next(image, delta)
  }

  partition(topic = 't', index = 0) {
    return this.replicas.find(topic, index)
  }
}
