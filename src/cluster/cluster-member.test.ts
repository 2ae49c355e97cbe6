// Several brokers' metadata over one simulated etcd, on a clock that the test moves: what the controller and the brokers say to each
// other, and what becomes of it when one of them dies, sleeps, or is not heard. No logs, no sockets.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionError } from '../client/errors.ts'
import { BrokerConfig } from '../config/effective.ts'
import type { Clock, Timer } from '../host/clock.ts'
import { ManualClock } from '../host/manual-clock.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { seededRandom } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../protocol/ids.ts'
import { type Journey, type RequestKind, SimEtcd, type SimEtcdHandle } from '../sim/etcd.ts'
import { ClusterMetadata } from './cluster-metadata.ts'
import type { ControllerLink } from './controller-link.ts'
import { MetadataRollbackError } from './member-state.ts'
import { clusterPrefix, keys, NO_LEADER } from './metadata-records.ts'
import type { Guard, Op } from './store/metadata-store.ts'

/** One process's time: it can be stopped for a while, or for ever. */
class ProcessClock implements Clock {
  private readonly clock: Clock
  private state: 'running' | 'paused' | 'dead' = 'running'
  private late: (() => void)[] = []

  constructor(clock: Clock) {
    this.clock = clock
  }

  get isRunning(): boolean {
    return this.state === 'running'
  }

  soon = (run: () => void) => this.clock.soon(run)
  wallMs = () => this.clock.wallMs()
  monotonicMs = () => this.clock.monotonicMs()

  timer(delayMs: number, run: () => void): Timer {
    let cancelled = false
    const fire = () => {
      if (this.state === 'running' && !cancelled) run()
      else if (this.state === 'paused') this.late.push(fire)
    }
    const timer = this.clock.timer(delayMs, fire)
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }

  pause(): void {
    this.state = 'paused'
  }

  resume(): void {
    this.state = 'running'
    for (const run of this.late.splice(0)) run()
  }

  kill(): void {
    this.state = 'dead'
  }
}

interface StartOptions {
  readonly previousEpoch?: number | null
  readonly disk?: MemoryDisk
  readonly acceptRollback?: boolean
}

class Node {
  readonly id: number
  readonly disk: MemoryDisk
  readonly clock: ProcessClock
  readonly store: SimEtcdHandle
  metadata!: ClusterMetadata
  started: Promise<void> = Promise.resolve()

  constructor(id: number, disk: MemoryDisk, clock: ProcessClock, store: SimEtcdHandle) {
    this.id = id
    this.disk = disk
    this.clock = clock
    this.store = store
  }
}

class TestCluster {
  readonly clock = new ManualClock()
  readonly etcd: SimEtcd
  readonly nodes = new Map<number, Node>()
  readonly lines: string[] = []
  /** Every commit, as the sequence key that it leaves. */
  readonly sequences: string[] = []
  journey: (handle: string, kind: RequestKind) => Journey = () => ({ thereMs: 0, backMs: 0 })
  /** Lets a test hold a request between brokers, or lose it. */
  onLink: (from: number, to: number, what: string) => Promise<void> | void = () => {}
  private readonly config: BrokerConfig
  private seed = 1

  constructor(config: Record<string, string> = {}) {
    const settings = { 'broker.session.timeout.ms': '9000', 'min.insync.replicas': '2', ...config }
    this.config = new BrokerConfig(new Map(Object.entries(settings)))
    this.etcd = new SimEtcd({
      clock: this.clock,
      random: seededRandom(7),
      journey: (handle, kind) => this.journey(handle, kind),
    })
    this.etcd.onCommit = (_revision: number, _guards: readonly Guard[], ops: readonly Op[]) => {
      for (const op of ops)
        if ('put' in op && op.put.endsWith(`/${keys.controllerSequence}`)) this.sequences.push(Buffer.from(op.value).toString())
    }
  }

  async start(...ids: number[]): Promise<this> {
    for (const id of ids) await this.launch(id)
    for (const id of ids) await this.settle(this.nodes.get(id)!.started)
    return this
  }

  /** A process begins; it may not get into the cluster yet. */
  async launch(id: number, { previousEpoch = null, disk, acceptRollback }: StartOptions = {}): Promise<Node> {
    const clock = new ProcessClock(this.clock)
    const node = new Node(id, disk ?? new MemoryDisk(), clock, this.etcd.handle(`b${id}`, clock))
    this.nodes.set(id, node)
    node.metadata = await this.settle(
      ClusterMetadata.open({
        disk: node.disk,
        directory: '/data/metadata',
        clock,
        random: seededRandom(this.seed++),
        node: { id, previousEpoch },
        config: this.config,
        cluster: {
          store: node.store,
          link: (_endpoint, to) => this.link(node, to),
          acceptRollback,
          report: (line) => this.lines.push(`${id}: ${line}`),
        },
      }),
    )
    const endpoint = { name: 'PLAINTEXT', host: `host${id}`, port: 9092, securityProtocol: 'PLAINTEXT' }
    node.started = node.metadata.setEndpoints([endpoint]).then(() => node.metadata.serve())
    node.started.catch(() => {})
    return node
  }

  /** SIGKILL. The disk stays. */
  kill(id: number): Node {
    const node = this.nodes.get(id)!
    node.clock.kill()
    node.store.cut()
    this.nodes.delete(id)
    return node
  }

  private link(from: Node, to: number): ControllerLink {
    const reach = async <R>(what: string, ask: (target: ClusterMetadata) => Promise<R>): Promise<R> => {
      await this.onLink(from.id, to, what)
      const target = this.nodes.get(to)
      if (target === undefined || !target.clock.isRunning || !from.clock.isRunning)
        throw new ConnectionError({ host: `host${to}`, port: 9092 }, 'unreachable')
      return ask(target.metadata)
    }
    return {
      alterPartition: (request) => reach('isr', (target) => target.alterPartition(request)) as never,
      heartbeat: (request) => reach('heartbeat', (target) => target.heartbeat(request)) as never,
      assignReplicasToDirs: (request) => reach('isr', (target) => target.assignReplicasToDirs(request)) as never,
      forward: (api, request, timeoutMs) =>
        reach(api.name, async (target) => {
          if (!target.isController) throw new KafkaError('NOT_CONTROLLER')
          const body = request as never as {
            topics: never
            topicPartitions: never
            electionType: number
            allowReplicationFactorChange: true
          }
          const options = { timeoutMs }
          switch (api.name) {
            case 'CreateTopics':
              return { topics: await target.createTopics(body.topics, options) }
            case 'DeleteTopics':
              return { responses: await target.deleteTopics(body.topics, options) }
            case 'ElectLeaders':
              return target.electLeaders(body, options)
            case 'AlterPartitionReassignments':
              return target.reassignPartitions(body, options)
            default:
              throw new Error(`${api.name} is not forwarded here`)
          }
        }) as never,
      close() {},
    }
  }

  /** Moves time until the promise settles. */
  async settle<T>(work: Promise<T>, withinMs = 60_000): Promise<T> {
    let done = false
    const mark = () => {
      done = true
    }
    work.then(mark, mark)
    await this.until(() => done, withinMs)
    return work
  }

  async until(condition: () => boolean, withinMs = 60_000): Promise<void> {
    for (let ms = 0; ; ms += 20) {
      await quiet()
      if (condition()) return
      assert.ok(ms < withinMs, `not within ${withinMs} ms: ${condition}\n${this.lines.join('\n')}`)
      this.clock.advance(20)
    }
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 20) {
      this.clock.advance(20)
      await quiet()
    }
  }

  get controller(): Node | undefined {
    return [...this.nodes.values()].find(({ metadata, clock }) => clock.isRunning && metadata.isController)
  }

  any(): Node {
    return [...this.nodes.values()].find(({ clock }) => clock.isRunning)!
  }

  /** As the store has it. */
  stored(key: string): unknown {
    const prefix = clusterPrefix(this.any().metadata.clusterId)
    const entry = this.etcd.contents().entries.find((entry) => entry.key === prefix + key)
    return entry === undefined ? undefined : JSON.parse(Buffer.from(entry.value).toString())
  }

  partition(topic: string, index = 0) {
    const image = this.any().metadata.image()
    return this.stored(keys.partition(image.topic(topic)!.id, index)) as {
      leader: number
      leaderEpoch: number
      partitionEpoch: number
      isr: number[]
      elr?: number[]
      replicas: number[]
      recovering?: boolean
    }
  }

  async create(name: string, assignments: number[][], from = this.any()): Promise<TopicId> {
    const topic = {
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
      configs: [],
    }
    const [result] = await this.settle(from.metadata.createTopics([topic]))
    assert.equal(result.errorCode, 0, result.errorMessage ?? '')
    return result.topicId as TopicId
  }

  /** What the leader of a partition would propose, as it is. */
  change(topicId: TopicId, index: number, isr: readonly number[]) {
    const image = this.any().metadata.image()
    const { leaderEpoch, partitionEpoch } = image.topicById(topicId)!.partitions[index]
    const members = isr.map((brokerId) => ({ brokerId, brokerEpoch: image.broker(brokerId)!.epoch }))
    return { topicId, index, leaderEpoch, partitionEpoch, isr: members, recovering: false }
  }

  async close(): Promise<void> {
    for (const { metadata } of this.nodes.values()) await this.settle(metadata.close())
  }
}

/** Lets everything happen that waits for nothing but its turn. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 8; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

const refusedAs = (code: string) => (error: unknown) => error instanceof KafkaError && error.code === code

test('brokers that start together become one cluster with one controller, and all may lead', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const ids = [...cluster.nodes.values()].map(({ metadata }) => metadata.clusterId)
  assert.equal(new Set(ids).size, 1)
  assert.equal([...cluster.nodes.values()].filter(({ metadata }) => metadata.isController).length, 1)
  const { metadata } = cluster.any()
  assert.deepEqual(
    metadata
      .image()
      .activeBrokers()
      .map(({ id, epoch }) => [id, epoch]),
    [1, 2, 3].map((id) => [id, cluster.nodes.get(id)!.metadata.brokerEpoch]),
  )
  await cluster.close()
})

test('a command is carried out wherever it comes in, and shows there when it is answered', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  for (const node of cluster.nodes.values()) {
    const id = await cluster.create(`t${node.id}`, [[1, 2, 3]], node)
    assert.equal(node.metadata.image().topic(`t${node.id}`)?.id, id)
  }
  await cluster.close()
})

test('a broker that dies is fenced, and what it led is led by another in-sync replica', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  await cluster.create('t', [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
  ])
  const victim = cluster.controller!.id === 3 ? 2 : 3
  cluster.kill(victim)
  await cluster.until(() => [0, 1, 2].every((index) => !cluster.partition('t', index).isr.includes(victim)), 12_000)
  for (const index of [0, 1, 2]) {
    const { leader, isr, leaderEpoch, replicas } = cluster.partition('t', index)
    assert.equal(isr.length, 2)
    assert.equal(
      leader,
      replicas.find((id) => id !== victim),
    )
    assert.equal(leaderEpoch, replicas[0] === victim ? 1 : 0)
  }
  assert.equal((cluster.stored(keys.broker(victim)) as { fenced: boolean }).fenced, true)
  await cluster.close()
})

test('when the controller dies another takes its office and does its work', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  await cluster.create('t', [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
  ])
  const dead = cluster.controller!.id
  cluster.kill(dead)
  const asked = cluster.any().metadata.electLeaders({ electionType: 0, topicPartitions: null })
  await cluster.until(() => [0, 1, 2].every((index) => !cluster.partition('t', index).isr.includes(dead)), 12_000)
  assert.notEqual(cluster.controller?.id, dead)
  assert.equal((await cluster.settle(asked)).errorCode, 0)
  await cluster.close()
})

test('a broker that holds its lease but reaches nobody is fenced, and comes back when it does', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const alone = cluster.controller!.id === 3 ? 2 : 3
  await cluster.create('t', [[alone, 1, alone === 3 ? 2 : 3]])
  cluster.onLink = (from, to) => {
    if (from === alone || to === alone) throw new ConnectionError({ host: `host${to}`, port: 9092 }, 'cut off')
  }
  await cluster.until(() => cluster.partition('t').leader !== alone, 12_000)
  assert.ok(!cluster.partition('t').isr.includes(alone))
  const { epoch } = cluster.any().metadata.image().broker(alone)!
  cluster.onLink = () => {}
  await cluster.until(() => cluster.any().metadata.image().mayLead(alone), 5_000)
  assert.equal(cluster.any().metadata.image().broker(alone)!.epoch, epoch, 'in the same life')
  await cluster.close()
})

test('a controller that holds its lease but reaches nobody leaves its office to one who does', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const alone = cluster.controller!
  const [second, third] = [1, 2, 3].filter((id) => id !== alone.id)
  await cluster.create('t', [[alone.id, second, third]])
  cluster.onLink = (from, to) => {
    if (from === alone.id || to === alone.id) throw new ConnectionError({ host: `host${to}`, port: 9092 }, 'cut off')
  }
  await cluster.until(() => cluster.partition('t').leader !== alone.id, 25_000)
  assert.deepEqual(cluster.partition('t').isr.toSorted(), [second, third], 'those who hear each other are left alone')
  assert.ok(!alone.metadata.isController)
  await cluster.pass(20_000)
  assert.ok(!alone.metadata.isController)
  cluster.onLink = () => {}
  await cluster.until(() => cluster.any().metadata.image().mayLead(alone.id), 5_000)
  await cluster.close()
})

test('a controller that hears no majority fences nobody', async () => {
  const cluster = await new TestCluster().start(1, 2)
  await cluster.create('t', [[1, 2]])
  cluster.onLink = (_, to) => {
    throw new ConnectionError({ host: `host${to}`, port: 9092 }, 'cut off')
  }
  await cluster.pass(30_000)
  assert.deepEqual(cluster.partition('t').isr, [1, 2])
  assert.equal(cluster.any().metadata.image().activeBrokers().length, 2)
  await cluster.close()
})

test('a controller that sleeps through its successor commits nothing when it wakes, and steps down', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const zombie = cluster.controller!
  // What it decides now is on its way while it sleeps.
  zombie.clock.pause()
  zombie.store.cut()
  const pending = zombie.metadata.createTopics(
    [{ name: 'late', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    {
      timeoutMs: 1000,
    },
  )
  pending.catch(() => {})
  await cluster.until(() => cluster.controller !== undefined && cluster.controller !== zombie, 15_000)
  const count = cluster.sequences.length
  const epoch = Number(cluster.sequences.at(-1)!.split(':')[0])
  zombie.store.mend()
  zombie.clock.resume()
  await cluster.settle(pending.catch(() => {}))
  await cluster.until(() => !zombie.metadata.isController)
  for (const sequence of cluster.sequences.slice(count)) assert.ok(Number(sequence.split(':')[0]) >= epoch, sequence)
  await cluster.until(() => cluster.any().metadata.image().activeBrokers().length === 3)
  assert.ok(zombie.metadata.image().broker(zombie.id)!.epoch === zombie.metadata.brokerEpoch)
  await cluster.create('t', [[1, 2, 3]], zombie)
  await cluster.close()
})

test('answers of the store that are lost lose no commit and repeat none', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  let commits = 0
  cluster.journey = (_handle, kind) => ({
    thereMs: 0,
    backMs: kind === 'commit' && ++commits % 7 === 0 ? Number.POSITIVE_INFINITY : 0,
  })
  const from = cluster.sequences.length
  for (let i = 0; i < 20; i++) await cluster.create(`t${i}`, [[1, 2, 3]])
  const topicId = cluster.any().metadata.image().topic('t0')!.id
  const leader = cluster.nodes.get(1)!.metadata
  for (let i = 0; i < 10; i++) {
    const before = leader.image().topicById(topicId)!.partitions[0]
    const isr = before.isr.length === 3 ? [1, 2] : [1, 2, 3]
    const after = await cluster.settle(
      leader.isrChanges.propose({
        ...cluster.change(topicId, 0, isr),
        leaderEpoch: before.leaderEpoch,
        partitionEpoch: before.partitionEpoch,
      }),
    )
    assert.deepEqual([after.isr, after.partitionEpoch], [isr, before.partitionEpoch + 1])
  }
  const numbers = cluster.sequences.slice(from).map((sequence) => sequence.split(':').map(Number))
  for (const [i, [epoch, n]] of numbers.entries())
    if (i > 0 && epoch === numbers[i - 1][0]) assert.equal(n, numbers[i - 1][1] + 1)
  await cluster.close()
})

test('a broker that is killed and started at once is back at once; a second process with its id is refused', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const victim = cluster.controller!.id === 3 ? 2 : 3
  const { disk, metadata } = cluster.kill(victim)
  const before = cluster.clock.monotonicMs()
  const again = await cluster.launch(victim, { disk: disk.kill() })
  await cluster.settle(again.started)
  assert.ok(cluster.clock.monotonicMs() - before < 2_000)
  assert.ok(again.metadata.brokerEpoch > metadata.brokerEpoch)

  const rival = await cluster.launch(victim)
  await assert.rejects(cluster.settle(rival.started), refusedAs('DUPLICATE_BROKER_REGISTRATION'))
  await cluster.settle(rival.metadata.close())
  cluster.nodes.set(victim, again)
  assert.equal(cluster.any().metadata.image().broker(victim)?.epoch, again.metadata.brokerEpoch)
  await cluster.close()
})

test('a replica that lost its data does not come into the ISR through a request from before (KIP-903)', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const victim = cluster.controller!.id === 3 ? 2 : 3
  const leader = [1, 2, 3].find((id) => id !== victim && id !== cluster.controller!.id)!
  const others = [1, 2, 3].filter((id) => id !== leader)
  const topicId = await cluster.create('t', [[leader, ...others]])
  const { metadata } = cluster.nodes.get(leader)!
  const kept = [leader, ...others.filter((id) => id !== victim)]
  await cluster.settle(metadata.isrChanges.propose(cluster.change(topicId, 0, kept)))
  let release = () => {}
  cluster.onLink = (from, _to, what) => {
    if (from !== leader || what !== 'isr') return
    return new Promise<void>((resolve) => {
      release = resolve
    })
  }
  const late = metadata.isrChanges.propose(cluster.change(topicId, 0, [leader, ...others]))
  late.catch(() => {})
  await quiet()
  cluster.kill(victim)
  // A new disk: everything is lost.
  const wiped = await cluster.launch(victim)
  await cluster.settle(wiped.started, 30_000)
  release()
  await assert.rejects(cluster.settle(late), refusedAs('INELIGIBLE_REPLICA'))
  assert.deepEqual(cluster.partition('t').isr, kept)
  cluster.onLink = () => {}
  // In its new epoch it is welcome.
  const after = await cluster.settle(metadata.isrChanges.propose(cluster.change(topicId, 0, [leader, ...others])))
  assert.deepEqual(after.isr, [leader, ...others])
  await cluster.close()
})

test('a change of the ISR and the end of a member, in one turn, are both carried out', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const controller = cluster.controller!
  const [a, b] = [1, 2, 3].filter((id) => id !== controller.id)
  const topicId = await cluster.create('t', [[controller.id, a, b]])
  const shrunk = controller.metadata.isrChanges.propose(cluster.change(topicId, 0, [controller.id, a]))
  await cluster.settle(shrunk)
  // The lease of `a` ends in the very turn in which the leader wants `b` back.
  const prefix = clusterPrefix(controller.metadata.clusterId)
  const expanded = controller.metadata.isrChanges.propose(cluster.change(topicId, 0, [controller.id, a, b]))
  cluster.etcd.expireLeaseOf(prefix + keys.alive(a))
  await cluster.settle(expanded.catch(() => undefined))
  await cluster.until(() => !cluster.partition('t').isr.includes(a) || cluster.any().metadata.image().broker(a)?.fenced === false)
  const { isr, leader } = cluster.partition('t')
  assert.ok(isr.includes(leader) && isr.includes(controller.id))
  // It was only the lease: the process takes another one, and is a member again.
  await cluster.until(() => cluster.any().metadata.image().activeBrokers().length === 3)
  assert.equal(cluster.nodes.get(a)!.metadata.brokerEpoch, cluster.any().metadata.image().broker(a)!.epoch)
  await cluster.close()
})

test('a topic of many partitions, and the end of a broker that leads them, survive the end of the controller in between', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const victim = cluster.controller!.id === 3 ? 2 : 3
  const others = [1, 2, 3].filter((id) => id !== victim)
  await cluster.create(
    'many',
    Array.from({ length: 700 }, () => [victim, ...others]),
  )
  // Each commit takes its time, so that there is an in between.
  cluster.journey = () => ({ thereMs: 10, backMs: 10 })
  cluster.kill(victim)
  const led = () =>
    cluster
      .any()
      .metadata.image()
      .topic('many')!
      .partitions.filter(({ leader }) => leader === victim).length
  await cluster.until(() => led() < 700)
  assert.ok(led() > 0)
  cluster.kill(cluster.controller!.id)
  const isIn = ({ isr }: { isr: readonly number[] }) => isr.includes(victim)
  await cluster.until(() => !cluster.any().metadata.image().topic('many')!.partitions.some(isIn), 20_000)
  assert.equal(led(), 0)
  for (const { isr, leader } of cluster.any().metadata.image().topic('many')!.partitions) {
    assert.ok(leader === NO_LEADER || isr.includes(leader))
  }
  await cluster.close()
})

test('a broker that stops in order has handed everything over before it is gone', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const topicId = await cluster.create('t', [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
  ])
  for (const id of [cluster.controller!.id, 2]) {
    const node = cluster.nodes.get(id)
    if (node === undefined || cluster.nodes.size < 3) continue
    assert.equal(await cluster.settle(node.metadata.controlledShutdown(10_000)), true)
    for (const { metadata } of cluster.nodes.values())
      for (const { leader, isr } of metadata.image().topicById(topicId)!.partitions) {
        assert.ok(leader !== id && leader !== NO_LEADER)
        assert.ok(!isr.includes(id))
      }
    const epoch = node.metadata.brokerEpoch
    await cluster.settle(node.metadata.close())
    cluster.nodes.delete(id)
    await cluster.until(() => cluster.any().metadata.image().broker(id)!.fenced, 1_000)
    await cluster.until(() => cluster.controller !== undefined, 1_000)
    const again = await cluster.launch(id, { disk: node.disk, previousEpoch: epoch })
    await cluster.settle(again.started)
  }
  await cluster.close()
})

test('the last in-sync replica comes back clean and leads as before; unclean it leads only as the last that did, recovering', async () => {
  for (const clean of [true, false]) {
    const cluster = await new TestCluster().start(1, 2, 3)
    const last = cluster.controller!.id === 3 ? 2 : 3
    await cluster.create('t', [[last]])
    const node = cluster.nodes.get(last)!
    const epoch = node.metadata.brokerEpoch
    if (clean) {
      await cluster.settle(node.metadata.controlledShutdown(10_000))
      await cluster.settle(node.metadata.close())
      cluster.nodes.delete(last)
    } else cluster.kill(last)
    await cluster.until(() => cluster.partition('t').leader === NO_LEADER, 15_000)
    assert.deepEqual([cluster.partition('t').isr, cluster.partition('t').elr], [[], [last]])
    const again = await cluster.launch(last, { disk: node.disk, previousEpoch: clean ? epoch : null })
    await cluster.settle(again.started)
    await cluster.until(() => cluster.partition('t').leader === last)
    assert.deepEqual([cluster.partition('t').isr, cluster.partition('t').recovering ?? false], [[last], !clean])
    await cluster.close()
  }
})

for (const who of ['a broker', 'the controller']) {
  test(`${who} whose lease the store has ended by mistake takes another, and has lost nothing`, async () => {
    const cluster = await new TestCluster().start(1, 2, 3)
    const controller = cluster.controller!.id
    const id = who === 'the controller' ? controller : (controller % 3) + 1
    await cluster.create('t', [[id]])
    const { metadata } = cluster.nodes.get(id)!
    const epoch = metadata.brokerEpoch
    cluster.etcd.expireLeaseOf(clusterPrefix(metadata.clusterId) + keys.alive(id))
    await cluster.until(() => cluster.any().metadata.image().broker(id)!.epoch > epoch)
    await cluster.until(() => cluster.partition('t').leader === id)
    assert.equal(cluster.partition('t').recovering ?? false, false)
    assert.equal(metadata.brokerEpoch, metadata.image().broker(id)!.epoch)
    assert.equal([...cluster.nodes.values()].filter((node) => node.metadata.isController).length, 1)
    await cluster.create('u', [[1, 2, 3]])
    await cluster.close()
  })
}

test('without a store the members stay what they are, and say that they are in doubt', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  await cluster.create('t', [[1, 2, 3]])
  const before = cluster.any().metadata.image()
  cluster.etcd.lose()
  await cluster.pass(30_000)
  for (const { metadata } of cluster.nodes.values()) {
    assert.equal(metadata.leaseInDoubt, true)
    assert.deepEqual(metadata.image().topic('t'), before.topic('t'))
  }
  assert.equal(cluster.lines.filter((line) => line.includes('serving on')).length, 3)
  cluster.etcd.recover()
  await cluster.until(() => [...cluster.nodes.values()].every(({ metadata }) => !metadata.leaseInDoubt), 10_000)
  await cluster.create('u', [[1, 2, 3]])
  await cluster.until(() => cluster.partition('t').isr.length === 3)
  await cluster.close()
})

test('a store that is older than what a broker has seen, or another one, is refused', async () => {
  const cluster = await new TestCluster().start(1, 2)
  const { disk } = cluster.kill(cluster.controller!.id === 1 ? 2 : 1)
  const other = new TestCluster()
  await assert.rejects(other.launch(1, { disk: disk.kill() }), MetadataRollbackError)
  await other.launch(1, { disk: disk.kill(), acceptRollback: true })
  await cluster.close()
})

test('a topic is deleted and made anew by different brokers', async () => {
  const cluster = await new TestCluster().start(1, 2, 3)
  const first = await cluster.create('t', [[1, 2, 3]], cluster.nodes.get(2))
  const [deleted] = await cluster.settle(cluster.nodes.get(3)!.metadata.deleteTopics([{ name: 't', topicId: ZERO_UUID }]))
  assert.equal(deleted.errorCode, 0)
  const second = await cluster.create('t', [[1, 2, 3]], cluster.nodes.get(1))
  assert.notEqual(first, second)
  await cluster.close()
})
