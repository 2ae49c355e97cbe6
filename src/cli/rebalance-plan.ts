// Where partitions should go so that every broker holds, and leads, as many as the others. Pure: a plan is made from what a cluster is
// like, and made again after each change of it. It moves as little as it can, and never brings together what was kept apart.

export interface PlanBroker {
  readonly id: number
  readonly rack: string | null
  /** Null: alone on its own. */
  readonly machine: string | null
}

export interface PlanPartition {
  readonly topic: string
  readonly index: number
  /** The preferred leader first; of one that is on the move, where it goes. */
  readonly replicas: readonly number[]
  readonly bytes: number
}

export interface PlanChange {
  readonly topic: string
  readonly index: number
  readonly before: readonly number[]
  readonly after: readonly number[]
  /** To be copied: 0 where only the order changes. */
  readonly bytes: number
}

export interface Plan {
  readonly changes: readonly PlanChange[]
  /** Partitions that have replicas on brokers which should hold none, and no other broker to go to. */
  readonly stuck: readonly PlanPartition[]
}

/** `brokers`: those that may hold replicas. What lies on any other is moved away. */
export function planRebalance(brokers: readonly PlanBroker[], partitions: readonly PlanPartition[]): Plan {
  const planner = new Planner(brokers, partitions)
  const stuck = planner.evacuate()
  planner.balanceReplicas()
  planner.balanceLeaders()
  return { changes: planner.changes(), stuck }
}

interface Placed {
  readonly partition: PlanPartition
  replicas: number[]
}

class Planner {
  private readonly brokers: ReadonlyMap<number, PlanBroker>
  private readonly placed: readonly Placed[]
  private readonly held = new Map<number, number>()
  private readonly led = new Map<number, number>()
  private readonly rackCount: number

  constructor(brokers: readonly PlanBroker[], partitions: readonly PlanPartition[]) {
    this.brokers = new Map(brokers.map((broker) => [broker.id, broker]))
    this.rackCount = new Set(brokers.map(({ rack }) => rack)).size
    this.placed = partitions.map((partition) => ({ partition, replicas: [...partition.replicas] }))
    for (const { id } of brokers) {
      this.held.set(id, this.placed.filter(({ replicas }) => replicas.includes(id)).length)
      this.led.set(id, 0)
    }
  }

  /** Off the brokers that should hold nothing. Returns what could not be. */
  evacuate(): PlanPartition[] {
    const stuck = new Set<PlanPartition>()
    for (const placed of this.placed) {
      for (const gone of placed.replicas.filter((id) => !this.brokers.has(id))) {
        const target = this.emptiest().find((id) => this.mayMove(placed, gone, id, true))
        if (target === undefined) stuck.add(placed.partition)
        else this.move(placed, gone, target)
      }
    }
    return [...stuck]
  }

  /** From the fullest broker to the emptiest that may take it, the smallest partition first, until no such move would help. */
  balanceReplicas(): void {
    for (;;) {
      if (!this.moveOne()) return
    }
  }

  /** Leadership wanders along the shortest way on which each partition stays where it is: nothing is copied for it. */
  balanceLeaders(): void {
    for (const { replicas } of this.placed)
      if (this.led.has(replicas[0])) this.led.set(replicas[0], this.led.get(replicas[0])! + 1)
    for (;;) {
      const way = this.wayForLeadership()
      if (way === undefined) return
      for (const { placed, to } of way) {
        const from = placed.replicas[0]
        placed.replicas = [to, ...placed.replicas.filter((id) => id !== to)]
        this.led.set(from, this.led.get(from)! - 1)
        this.led.set(to, this.led.get(to)! + 1)
      }
    }
  }

  changes(): PlanChange[] {
    return this.placed.flatMap(({ partition, replicas }) => {
      const { topic, index, replicas: before, bytes } = partition
      if (replicas.join() === before.join()) return []
      const copied = replicas.filter((id) => !before.includes(id)).length
      return [{ topic, index, before, after: replicas, bytes: copied * bytes }]
    })
  }

  private moveOne(): boolean {
    const order = this.emptiest()
    for (const full of order.toReversed()) {
      const candidates = this.placed
        .filter(({ replicas }) => replicas.includes(full))
        .sort((a, b) => a.partition.bytes - b.partition.bytes)
      for (const empty of order) {
        if (this.held.get(full)! - this.held.get(empty)! < 2) break
        const placed = candidates.find((candidate) => this.mayMove(candidate, full, empty, false))
        if (placed === undefined) continue
        this.move(placed, full, empty)
        return true
      }
    }
    return false
  }

  private emptiest(): number[] {
    return [...this.held.keys()].sort((a, b) => this.held.get(a)! - this.held.get(b)! || a - b)
  }

  /** `must`: it cannot stay, so that racks may have to be shared. Machines never are, unless they were. */
  private mayMove({ replicas }: Placed, from: number, to: number, must: boolean): boolean {
    if (replicas.includes(to)) return false
    const others = replicas.filter((id) => id !== from)
    const [source, target] = [this.brokers.get(from), this.brokers.get(to)!]
    const shared = (of: (broker: PlanBroker) => string | null, value: string | null) =>
      others.filter((id) => this.brokers.has(id) && of(this.brokers.get(id)!) === value).length
    if (target.machine !== null && shared(({ machine }) => machine, target.machine) > 0) {
      return source !== undefined && source.machine === target.machine
    }
    if (must || this.rackCount < 2) return true
    return shared(({ rack }) => rack, target.rack) <= (source === undefined ? 0 : shared(({ rack }) => rack, source.rack))
  }

  private move(placed: Placed, from: number, to: number): void {
    placed.replicas = placed.replicas.map((id) => (id === from ? to : id))
    if (this.held.has(from)) this.held.set(from, this.held.get(from)! - 1)
    this.held.set(to, this.held.get(to)! + 1)
  }

  private wayForLeadership(): { placed: Placed; to: number }[] | undefined {
    const byLeader = Map.groupBy(this.placed, ({ replicas }) => replicas[0])
    const order = [...this.led.keys()].sort((a, b) => this.led.get(b)! - this.led.get(a)! || a - b)
    for (const start of order) {
      const reached = new Map<number, { from: number; placed: Placed } | undefined>([[start, undefined]])
      for (const broker of reached.keys()) {
        if (this.led.get(start)! - this.led.get(broker)! >= 2) return wayTo(reached, broker)
        for (const placed of byLeader.get(broker) ?? []) {
          for (const next of placed.replicas)
            if (this.led.has(next) && !reached.has(next)) reached.set(next, { from: broker, placed })
        }
      }
    }
    return undefined
  }
}

function wayTo(reached: ReadonlyMap<number, { from: number; placed: Placed } | undefined>, end: number) {
  const way: { placed: Placed; to: number }[] = []
  for (let at = end, step = reached.get(at); step !== undefined; at = step.from, step = reached.get(at))
    way.unshift({ placed: step.placed, to: at })
  return way
}
