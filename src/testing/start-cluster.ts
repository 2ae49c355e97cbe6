// A cluster inside this process, for tests: several brokers that replicate and elect for real, over real sockets, and controls for
// what goes wrong between them. Their metadata is in an etcd of this process.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker } from '../broker/broker.ts'
import { orThrow } from '../client/admin/results.ts'
import { Admin } from '../client/admin.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { foundedIn } from '../cluster/found-cluster.ts'
import { imageOf } from '../cluster/image-publisher.ts'
import { clusterPrefix } from '../cluster/metadata-records.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import { realClock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import { type Logger, silentLogger } from '../host/logger.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { realNetwork } from '../host/real-network.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { SimEtcd } from '../sim/etcd.ts'
import { Machine, type Wires } from './machine.ts'

export interface StartClusterOptions {
  /** Default: 3. Their ids are 1, 2, 3 … */
  readonly brokers?: number
  /** `memory` (default): nothing touches the disk. `disk`: in a temporary directory that goes with the cluster. */
  readonly storage?: 'memory' | 'disk'
  /** Log directories of each broker. Default: 1. */
  readonly directories?: number
  /** Keys of Kafka's server.properties, for all brokers. */
  readonly config?: Readonly<Record<string, string>>
  /** The same for one broker. */
  readonly configOf?: (id: number) => Readonly<Record<string, string>>
  /** Default: they say nothing. */
  readonly logger?: (id: number) => Logger
}

export interface ClusterBroker {
  readonly id: number
  /** `host:port`; stays the same when it is started again. */
  readonly address: string
  readonly isRunning: boolean
  /** As SIGTERM: hands over what it leads, writes down what it has. */
  stop(): Promise<void>
  /** As SIGKILL. What it had written stays on its disk. */
  kill(): Promise<void>
  /** Again, on what it has on its disk. Resolves when it serves. */
  start(): Promise<void>
  /** As SIGSTOP and SIGCONT: it does not react, and does not know how long that was. */
  pause(): void
  resume(): void
  /** The disk below one of its log directories fails, for as long as this process lives. Counted from 0. */
  breakDirectory(index: number): void
}

export interface PartitionState {
  /** -1: none. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

export interface TestCluster extends AsyncDisposable {
  /** `host:port` of each broker, separated by commas, as every Kafka client takes them. */
  readonly bootstrapServers: string
  readonly brokers: readonly ClusterBroker[]
  broker(id: number): ClusterBroker
  /** As the store of metadata has it; undefined for what does not exist. What a broker knows may be older. */
  partition(topic: string, index: number): PartitionState | undefined
  /** Has another replica lead, as its preferred leader. Rejects with KafkaError where that one cannot. */
  moveLeader(topic: string, index: number, to: number): Promise<void>
  /** Takes a broker from the others, from the store of metadata, or from both. Clients reach it still. */
  cutOff(id: number, from?: 'brokers' | 'store' | 'both'): void
  /** Undoes every `cutOff`. */
  heal(): void
  close(): Promise<void>
}

/** What a test wants other than what production wants: nobody waits for long. */
const TEST_DEFAULTS = {
  'group.initial.rebalance.delay.ms': '0',
  'broker.session.timeout.ms': '2000',
  'broker.heartbeat.interval.ms': '300',
  'replica.lag.time.max.ms': '3000',
  'replica.fetch.wait.max.ms': '100',
  'offsets.topic.num.partitions': '5',
  'transaction.state.log.num.partitions': '5',
}

/**
 * @example
 * await using cluster = await startCluster({ brokers: 3 })
 * const kafka = new Kafka({ brokers: cluster.bootstrapServers.split(',') })
 * await cluster.broker(2).kill()
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<TestCluster> {
  const { brokers: count = 3, storage = 'memory' } = options
  const temporary = storage === 'disk' ? await mkdtemp(join(tmpdir(), 'moldau-cluster-')) : undefined
  const cluster = new Cluster(options, temporary, Math.min(count, 3))
  try {
    for (let id = 1; id <= count; id++) cluster.add(id)
    await Promise.all(cluster.brokers.map((broker) => broker.start()))
    return cluster
  } catch (error) {
    await cluster.close()
    throw error
  }
}

class Cluster implements TestCluster {
  readonly brokers: Member[] = []
  readonly options: StartClusterOptions
  readonly temporary: string | undefined
  readonly defaults: Readonly<Record<string, string>>
  readonly etcd = new SimEtcd({ clock: realClock, random: realRandom })
  readonly wires: Wires
  private readonly alone = new Set<number>()

  constructor(options: StartClusterOptions, temporary: string | undefined, replicas: number) {
    this.options = options
    this.temporary = temporary
    this.wires = {
      allowed: (from, to) => from === to || !(this.alone.has(from) || this.alone.has(to)),
      listening: new Map(),
      open: new Set(),
    }
    const factor = String(replicas)
    this.defaults = {
      ...TEST_DEFAULTS,
      'default.replication.factor': factor,
      'offsets.topic.replication.factor': factor,
      'transaction.state.log.replication.factor': factor,
      'transaction.state.log.min.isr': String(Math.min(2, replicas)),
    }
  }

  get bootstrapServers(): string {
    return this.brokers.map(({ address }) => address).join()
  }

  broker(id: number): Member {
    const found = this.brokers.find((broker) => broker.id === id)
    if (found === undefined) throw new Error(`there is no broker ${id}`)
    return found
  }

  partition(topic: string, index: number): PartitionState | undefined {
    const { revision, entries } = this.etcd.contents()
    const prefix = clusterPrefix(foundedIn(entries))
    const ours = entries.filter(({ key }) => key.startsWith(prefix))
    return imageOf({ revision, entries: ours }, prefix).partition(topic, index)
  }

  async moveLeader(topic: string, index: number, to: number): Promise<void> {
    const replicas = this.partition(topic, index)?.replicas ?? []
    if (!replicas.includes(to))
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `${topic}-${index} has no replica on broker ${to}`)
    const client = new ClusterClient({
      network: realNetwork,
      clock: realClock,
      random: realRandom,
      bootstrapServers: this.bootstrapServers,
      clientId: 'test-cluster',
    })
    try {
      const { cluster } = new Admin(client)
      const partition = { topic, partition: index }
      orThrow(await cluster.reassign([{ ...partition, replicas: [to, ...replicas.filter((id) => id !== to)] }]))
      const elected = [...(await cluster.electLeaders('preferred', [partition])).values()][0]
      if (elected instanceof KafkaError && elected.code !== 'ELECTION_NOT_NEEDED') throw elected
    } finally {
      await client.close()
    }
  }

  add(id: number): void {
    this.brokers.push(new Member(this, id))
  }

  cutOff(id: number, from: 'brokers' | 'store' | 'both' = 'both'): void {
    if (from !== 'brokers') this.broker(id).machine?.store.cut()
    if (from === 'store') return
    this.alone.add(id)
    for (const wire of this.wires.open) {
      if (this.wires.allowed(wire.from, wire.to)) continue
      wire.socket.destroy()
      this.wires.open.delete(wire)
    }
  }

  heal(): void {
    this.alone.clear()
    for (const { machine } of this.brokers) machine?.store.mend()
  }

  async close(): Promise<void> {
    // Nobody takes over any more: none of them needs to wait for that.
    await Promise.all(this.brokers.map((broker) => broker.kill()))
    this.etcd.close()
    if (this.temporary !== undefined) await rm(this.temporary, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

class Member implements ClusterBroker {
  readonly id: number
  machine: Machine | undefined
  private readonly cluster: Cluster
  private readonly disk: Disk
  private readonly directories: readonly string[]
  private broker: Broker | undefined
  private port = 0

  constructor(cluster: Cluster, id: number) {
    this.cluster = cluster
    this.id = id
    this.disk = cluster.temporary === undefined ? new MemoryDisk() : realDisk
    const directory = cluster.temporary === undefined ? '/data' : join(cluster.temporary, `broker-${id}`)
    const { directories: count = 1 } = cluster.options
    this.directories = Array.from({ length: count }, (_, i) => (i === 0 ? directory : `${directory}-${i}`))
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get isRunning(): boolean {
    return this.broker !== undefined
  }

  async start(): Promise<void> {
    if (this.broker !== undefined) throw new Error(`broker ${this.id} is running`)
    const { options, defaults, wires, etcd } = this.cluster
    const given: Record<string, string> = {
      ...defaults,
      ...options.config,
      ...options.configOf?.(this.id),
      'node.id': String(this.id),
    }
    // The first is at the same port in each of its lives.
    given['listeners'] = (given['listeners'] ?? 'PLAINTEXT://127.0.0.1:0').replace(/:0(?=,|$)/, `:${this.port}`)
    const settings = Object.entries(given).map(([key, value]) => ({ key, value, origin: 'config' }))
    const machine = new Machine(this.id, wires, realClock, this.disk, realNetwork, etcd)
    this.machine = machine
    this.broker = await Broker.start({
      config: loadStaticConfig({ settings }).config,
      directories: this.directories,
      disk: machine.disk,
      network: machine.network,
      clock: machine.clock,
      random: realRandom,
      logger: options.logger?.(this.id) ?? silentLogger,
      cluster: { store: machine.store },
      onGivenUp: () => void this.kill(),
    })
    this.port = this.broker.endpoint.port
  }

  async stop(): Promise<void> {
    const { broker, machine } = this
    this.broker = undefined
    await broker?.close()
    await machine?.kill()
  }

  async kill(): Promise<void> {
    this.broker = undefined
    await this.machine?.kill()
  }

  pause(): void {
    this.machine?.pause()
  }

  resume(): void {
    this.machine?.resume()
  }

  breakDirectory(index: number): void {
    this.machine?.brokenDirectories.add(this.directories[index])
  }
}
