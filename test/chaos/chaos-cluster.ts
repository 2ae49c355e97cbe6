// A cluster to be harmed: members of etcd and brokers as processes, each on a machine of its own, and what is known of who does what in it.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { ClusterClient, CoordinatorType } from '../../src/client/cluster-client.ts'
import { foundedIn } from '../../src/cluster/found-cluster.ts'
import { imageOf } from '../../src/cluster/image-publisher.ts'
import type { MetadataImage } from '../../src/cluster/metadata-image.ts'
import { clusterPrefix, ROOT } from '../../src/cluster/metadata-records.ts'
import { EtcdStore } from '../../src/cluster/store/etcd-store.ts'
import { realClock } from '../../src/host/clock.ts'
import { realRandom } from '../../src/host/random.ts'
import { realNetwork } from '../../src/host/real-network.ts'
import { root } from '../support/broker-process.ts'
import { eventually } from '../support/eventually.ts'
import { Daemon } from './daemon.ts'
import type { Machine, Machines } from './machines.ts'

export interface ChaosClusterOptions {
  readonly machines: Machines
  readonly directory: string
  readonly brokers: number
  readonly etcdMembers: number
  /** Keys of server.properties. */
  readonly config?: Readonly<Record<string, string>>
  /** Data in memory, so much for each broker, so that a disk can be filled. Takes root; absent: in `directory`. */
  readonly diskMiB?: number
}

export interface Member {
  readonly machine: Machine
  readonly daemon: Daemon
  /** For clients: `host:port`. */
  readonly address: string
}

export interface BrokerMember extends Member {
  readonly id: number
  readonly dataDirectory: string
  /** Seconds that its wall clock is off, from its next start. */
  clockOffsetS: number
}

export interface EtcdNode extends Member {
  readonly index: number
}

/** Faults are to be seen within a round, not within a minute. Elections themselves take what they take. */
const CHAOS_CONFIG = {
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
  'replica.lag.time.max.ms': '5000',
  'min.insync.replicas': '2',
  'default.replication.factor': '3',
  'offsets.topic.num.partitions': '6',
  'transaction.state.log.num.partitions': '6',
  'transaction.state.log.min.isr': '2',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
  'group.initial.rebalance.delay.ms': '0',
  'auto.create.topics.enable': 'false',
  'log.segment.bytes': '1048576',
}
const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'

export class ChaosCluster implements AsyncDisposable {
  readonly machines: Machines
  readonly brokers: BrokerMember[] = []
  readonly etcd: EtcdNode[] = []
  private readonly options: ChaosClusterOptions
  private readonly mounts: string[] = []
  private store: EtcdStore | undefined
  private readonly clients = new Set<ClusterClient>()

  private constructor(options: ChaosClusterOptions) {
    this.options = options
    this.machines = options.machines
    process.once('exit', this.unmount)
  }

  /** Resolves when all of them serve. */
  static async start(options: ChaosClusterOptions): Promise<ChaosCluster> {
    const cluster = new ChaosCluster(options)
    try {
      await cluster.addEtcd(options.etcdMembers)
      for (let id = 1; id <= options.brokers; id++) await cluster.addBroker(id)
      await Promise.all(cluster.etcd.map(({ daemon }) => daemon.start()))
      await Promise.all(cluster.brokers.map(({ daemon }) => daemon.start()))
      await cluster.whole()
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  get bootstrapServers(): string {
    return this.brokers.map(({ address }) => address).join()
  }

  /** Closed with the cluster at the latest. */
  client(options: { readonly requestTimeoutMs?: number; readonly apiTimeoutMs?: number } = {}): ClusterClient {
    const client = new ClusterClient({
      bootstrapServers: this.bootstrapServers,
      network: realNetwork,
      clock: realClock,
      random: realRandom,
      connectTimeoutMs: 3000,
      requestTimeoutMs: 10_000,
      ...options,
    })
    this.clients.add(client)
    return client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.clients].map((client) => client.close()))
    await this.store?.close().catch(() => {})
    await Promise.all([...this.brokers, ...this.etcd].map(({ daemon }) => daemon.dispose()))
    process.off('exit', this.unmount)
    this.unmount()
  }

  /** Lazily, for those who still die. */
  private readonly unmount = () => {
    for (const path of this.mounts.splice(0)) spawnSync('umount', ['-l', path])
  }

  // ── who does what ─────────────────────────────────────────────────────────────────────────────────────────────────

  broker(id: number): BrokerMember {
    const found = this.brokers.find((broker) => broker.id === id)
    if (found === undefined) throw new Error(`there is no broker ${id}`)
    return found
  }

  /** As etcd has it. */
  async image(): Promise<MetadataImage> {
    this.store ??= await EtcdStore.open({ clock: realClock, members: this.etcd.map(({ address }) => address) })
    const { revision, entries } = await this.store.load(ROOT)
    const prefix = clusterPrefix(foundedIn(entries))
    return imageOf({ revision, entries: entries.filter(({ key }) => key.startsWith(prefix)) }, prefix)
  }

  async controller(): Promise<BrokerMember> {
    return eventually(async () => this.broker((await this.image()).controller!.brokerId), { what: 'a controller' })
  }

  async transactionCoordinator(transactionalId: string): Promise<BrokerMember> {
    return this.coordinator(CoordinatorType.TRANSACTION, transactionalId)
  }

  async groupCoordinator(groupId: string): Promise<BrokerMember> {
    return this.coordinator(CoordinatorType.GROUP, groupId)
  }

  private async coordinator(type: 0 | 1, key: string): Promise<BrokerMember> {
    const client = this.client()
    try {
      return this.broker((await client.retrying('the coordinator', 20_000, () => client.findCoordinator(type, key))).nodeId)
    } finally {
      this.clients.delete(client)
      await client.close()
    }
  }

  async etcdLeader(): Promise<EtcdNode> {
    return eventually(
      async () => {
        for (const member of this.etcd) {
          const { leader, header } = await etcdStatus(member.address)
          if (leader !== '0' && leader === header.member_id) return member
        }
        throw new Error('etcd has no leader')
      },
      { what: 'a leader of etcd' },
    )
  }

  /** Waits until every broker is there and every replica of every partition is in sync. */
  async whole(withinMs = 60_000): Promise<void> {
    await eventually(
      async () => {
        const image = await this.image()
        const missing = this.brokers.filter(({ id }) => !image.mayLead(id))
        if (missing.length > 0) throw new Error(`not there: ${missing.map(({ id }) => `broker ${id}`).join()}`)
        const behind: string[] = []
        for (const topic of image.topics())
          for (const [index, { leader, isr, replicas }] of topic.partitions.entries())
            if (leader < 0 || isr.length < replicas.length)
              behind.push(`${topic.name}-${index} (leader ${leader}, ISR ${isr.join()} of ${replicas.join()})`)
        if (behind.length > 0) throw new Error(`not in sync: ${behind.join('; ')}`)
      },
      { withinMs },
    )
  }

  // ── putting it together ───────────────────────────────────────────────────────────────────────────────────────────

  private async addEtcd(count: number): Promise<void> {
    const { machines, directory } = this.options
    const places: { machine: Machine; client: string; peer: string }[] = []
    for (let index = 0; index < count; index++) {
      const machine = await machines.add(`e${index}`)
      const [client, peer] = await this.ports(machine, [2379, 2380])
      places.push({ machine, client, peer })
    }
    const all = places.map(({ peer }, index) => `e${index}=http://${peer}`).join()
    for (const [index, { machine, client, peer }] of places.entries()) {
      const flags = {
        name: `e${index}`,
        'data-dir': join(await this.disk(`etcd-${index}`), 'data'),
        'listen-client-urls': `http://${client}`,
        'advertise-client-urls': `http://${client}`,
        'listen-peer-urls': `http://${peer}`,
        'initial-advertise-peer-urls': `http://${peer}`,
        'initial-cluster': all,
        logger: 'zap',
        'log-level': 'warn',
      }
      const command = [...machine.prefix, 'etcd', ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])]
      const isReady = async () => {
        const response = await fetch(`http://${client}/health`, { signal: AbortSignal.timeout(1000) })
        return ((await response.json()) as { health: string }).health === 'true'
      }
      const logFile = join(directory, `etcd-${index}.log`)
      const daemon = new Daemon({ name: `etcd ${index}`, command: () => command, isReady, logFile })
      this.etcd.push({ index, machine, daemon, address: client })
    }
  }

  private async addBroker(id: number): Promise<void> {
    const { machines, directory, config } = this.options
    const machine = await machines.add(`b${id}`)
    const [address] = await this.ports(machine, [9092])
    const dataDirectory = await this.disk(`broker-${id}`)
    const settings = Object.entries({ ...CHAOS_CONFIG, ...config }).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    const command = [
      ...machine.prefix,
      ...[process.execPath, join(root, 'bin', 'moldau'), 'start', '--node-id', String(id)],
      ...['--cluster', `etcd://${this.etcd.map((member) => member.address).join()}`],
      ...['--listen', address, '--advertise', address, '--data-dir', join(dataDirectory, 'data')],
      ...settings,
    ]
    const broker: BrokerMember = {
      id,
      machine,
      address,
      dataDirectory,
      clockOffsetS: 0,
      daemon: new Daemon({
        name: `broker ${id}`,
        command: () => command,
        environment: () =>
          broker.clockOffsetS === 0
            ? {}
            : {
                LD_PRELOAD: FAKETIME,
                FAKETIME: `${broker.clockOffsetS > 0 ? '+' : ''}${broker.clockOffsetS}s`,
                FAKETIME_DONT_FAKE_MONOTONIC: '1',
              },
        isReady: (output) => output.includes('Kafka Server started'),
        logFile: join(directory, `broker-${id}.log`),
      }),
    }
    this.brokers.push(broker)
  }

  private async disk(name: string): Promise<string> {
    const { directory, diskMiB } = this.options
    const path = join(directory, name)
    mkdirSync(path, { recursive: true })
    if (diskMiB !== undefined) {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'tmpfs', path])
      this.mounts.push(path)
    }
    return path
  }

  /** A machine of its own has all ports. */
  private async ports(machine: Machine, usual: readonly number[]): Promise<string[]> {
    const ports = this.machines.areApart ? usual : await freePorts(usual.length)
    return ports.map((port) => `${machine.address}:${port}`)
  }
}

/** What is left on the disk that a directory is on. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}

interface EtcdStatus {
  readonly leader: string
  readonly header: { readonly member_id: string }
}

async function etcdStatus(address: string): Promise<EtcdStatus> {
  const url = `http://${address}/v3/maintenance/status`
  const response = await fetch(url, { method: 'POST', body: '{}', signal: AbortSignal.timeout(1000) })
  return (await response.json()) as EtcdStatus
}

/** Held together, so that they differ; let go, so that they can be taken. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
