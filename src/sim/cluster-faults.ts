// Carries a scenario's list of faults out, each at its time, and in the end undoes whatever is still wrong.

import { Admin } from '../client/admin.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { hostOf, LOG_DIRECTORIES } from './cluster-node.ts'
import type { Fault } from './cluster-scenario.ts'
import type { ClusterWorld } from './cluster-world.ts'

export class ClusterFaults {
  private readonly world: ClusterWorld
  /** What is still to be undone. */
  private readonly open = new Set<() => void>()
  /** What administrators are waiting for. */
  private readonly admin: Admin
  private readonly client: ClusterClient
  underWay = 0
  private over = false

  constructor(world: ClusterWorld) {
    this.world = world
    this.client = new ClusterClient({
      ...world.client('admin'),
      bootstrapServers: world.bootstrapServers,
      requestTimeoutMs: 3_000,
      connectTimeoutMs: 1_000,
      apiTimeoutMs: 10_000,
    })
    this.admin = new Admin(this.client)
  }

  plan(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.world.simulation.after(fault.atMs * 1000, () => {
        if (this.over) return
        this.world.note(`FAULT ${JSON.stringify(fault)}`)
        this.begin(fault)
      })
    }
  }

  /** Everything works again, as far as that is in the hands of whoever runs the machines. */
  heal(): void {
    const { world } = this
    this.over = true
    world.note('HEAL')
    for (const undo of [...this.open]) undo()
    for (const node of world.nodes.values()) if (!node.isRunning) node.start()
  }

  private until(forMs: number, undo: () => void): void {
    let done = false
    const once = () => {
      if (done) return
      done = true
      this.open.delete(once)
      undo()
    }
    this.open.add(once)
    this.world.simulation.after(forMs * 1000, once)
  }

  private begin(fault: Fault): void {
    const { world } = this
    const { network, etcd, tally } = world
    /** Whether there is anybody to whom it can happen. */
    const bites = (yes: unknown) => {
      if (yes) tally.count(`fault: ${fault.kind}`)
      return Boolean(yes)
    }
    switch (fault.kind) {
      case 'kill':
      case 'power cut': {
        const node = world.choose(fault.broker)
        if (!bites(node?.isRunning)) return
        node!.kill(fault.kind)
        return this.until(fault.forMs, () => node!.start())
      }
      case 'stop': {
        const node = world.choose(fault.broker)
        if (!bites(node?.isServing)) return
        node!.stop().catch((error) => world.fail('brokers stop', String(error.stack)))
        return this.until(fault.forMs, () => node!.start())
      }
      case 'pause': {
        const node = world.choose(fault.broker)
        if (!bites(node?.isRunning)) return
        node!.pause()
        return this.until(fault.forMs, () => node!.resume())
      }
      case 'isolate': {
        const node = world.choose(fault.broker)
        if (!bites(node)) return
        const others = [...world.hosts.filter((host) => host !== node!.host), ...(fault.clientsToo ? world.clientHosts : [])]
        for (const other of others) {
          if (fault.way !== 'from') network.cut(node!.host, other)
          if (fault.way !== 'to') network.cut(other, node!.host)
        }
        return this.until(fault.forMs, () => {
          for (const other of others) {
            network.heal(node!.host, other)
            network.heal(other, node!.host)
          }
        })
      }
      case 'cut': {
        bites(true)
        const [from, to] = [hostOf(fault.from), hostOf(fault.to)]
        network.cut(from, to)
        if (fault.bothWays) network.cut(to, from)
        return this.until(fault.forMs, () => {
          network.heal(from, to)
          network.heal(to, from)
        })
      }
      case 'slow network': {
        bites(true)
        world.setLatency(fault.mostMs / 10, fault.mostMs)
        return this.until(fault.forMs, () => world.setLatency(world.scenario.latencyMs.least, world.scenario.latencyMs.most))
      }
      case 'cut from store': {
        const store = world.choose(fault.broker)?.store
        if (!bites(store)) return
        store!.cut()
        return this.until(fault.forMs, () => store!.mend())
      }
      case 'lagging watch': {
        const store = world.choose(fault.broker)?.store
        if (!bites(store)) return
        store!.lag()
        return this.until(fault.forMs, () => store!.mend())
      }
      case 'no store':
        bites(true)
        etcd.lose()
        return this.until(fault.forMs, () => etcd.recover())
      case 'unreliable store':
        bites(true)
        world.storeTrouble = fault.probability
        return this.until(fault.forMs, () => {
          world.storeTrouble = 0
        })
      case 'lease expires': {
        const node = world.choose(fault.broker)
        const alive = etcd.contents().entries.find(({ key }) => key.endsWith(`/alive/${node?.id}`))
        bites(alive !== undefined && etcd.expireLeaseOf(alive.key))
        return
      }
      case 'clock jumps': {
        const node = world.choose(fault.broker)
        if (!bites(node)) return
        node!.jumpClock(fault.byMs)
        // Records with times of another hour would be refused for ever.
        return void this.open.add(() => node!.jumpClock(-fault.byMs))
      }
      case 'compaction':
        bites(true)
        return etcd.compact()
      case 'slow disk': {
        const node = world.choose(fault.broker)
        if (!bites(node)) return
        node!.disk.slow = true
        return this.until(fault.forMs, () => {
          node!.disk.slow = false
        })
      }
      case 'disk error': {
        const node = world.choose(fault.broker)
        if (!bites(node?.isRunning)) return
        const under = LOG_DIRECTORIES[fault.directory]
        const kinds = fault.code === 'EIO' ? (['write', 'sync'] as const) : (['write'] as const)
        node!.disk.faults = [{ under, kinds, code: fault.code, probability: 0.5 }]
        return this.until(fault.forMs, () => {
          node!.disk.faults = []
          // What is offline comes back with the next start.
          if (!node!.isRunning) return
          node!.kill('kill')
          node!.start()
        })
      }
      default:
        this.administer(fault).catch((error) => world.note(`admin: ${(error as Error).message}`))
    }
  }

  private async administer(fault: Fault): Promise<void> {
    const { world, admin } = this
    this.underWay++
    try {
      const done = await this.command(fault)
      world.note(`admin: ${fault.kind} ${done ? 'done' : 'nothing to do'}`)
      if (done) world.tally.count(`fault: ${fault.kind}`)
    } finally {
      this.underWay--
    }
    void admin
  }

  private async command(fault: Fault): Promise<boolean> {
    const { world, admin } = this
    const { image } = world
    switch (fault.kind) {
      case 're-create': {
        const plan = world.scenario.topics.find(({ name }) => name === fault.topic)
        if (plan === undefined) return false
        const deleted = await admin.topics.delete([plan.name])
        world.note(`admin: deleted ${[...deleted.values()].join()}`)
        for (const result of (await admin.topics.create([newTopic(plan)])).values()) if (result instanceof Error) throw result
        return true
      }
      case 'grow': {
        const count = image?.topic(fault.topic)?.partitions.length ?? 0
        if (count === 0 || count > 4) return false
        for (const result of (await admin.topics.createPartitions([{ name: fault.topic, count: count + 1 }])).values())
          if (result instanceof Error) throw result
        return true
      }
      case 'reassign': {
        const record = image?.partition(fault.topic, fault.partition)
        if (record === undefined) return false
        const turned = record.replicas.map((id) => ((id - 1 + fault.turn) % world.scenario.brokers) + 1)
        const move = { topic: fault.topic, partition: fault.partition }
        for (const result of (await admin.cluster.reassign([{ ...move, replicas: turned }])).values())
          if (result instanceof Error) throw result
        if (fault.cancelAfterMs >= 0) {
          await new Promise<void>((resolve) => world.simulation.after(fault.cancelAfterMs * 1000, resolve))
          await admin.cluster.reassign([{ ...move, replicas: null }])
        }
        return true
      }
      case 'elect':
        await admin.cluster.electLeaders('preferred', null)
        return true
      case 'configure': {
        const changes = [{ name: fault.key, operation: 'SET' as const, value: fault.value }]
        for (const result of (await admin.configs.change([{ type: 'TOPIC', name: fault.topic, changes }])).values())
          if (result instanceof Error) throw result
        return true
      }
      default:
        throw new Error(`${fault.kind} is nothing that an administrator does`)
    }
  }

  /** The topics of the scenario. Rejects where they cannot be made. */
  async createTopics(): Promise<void> {
    const { topics } = this.world.scenario
    const created = await this.admin.topics.create(topics.map(newTopic))
    for (const result of created.values()) if (result instanceof Error) throw result
  }

  close(): Promise<void> {
    return this.client.close()
  }
}

function newTopic({
  name,
  partitions,
  replicas: replicationFactor,
  minIsr,
  configs,
}: ClusterWorld['scenario']['topics'][number]) {
  return { name, partitions, replicationFactor, configs: { 'min.insync.replicas': String(minIsr), ...configs } }
}
