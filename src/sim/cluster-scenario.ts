// What one simulated history of a cluster is about: its brokers, topics and clients, and the list of what goes wrong, all of it drawn from a
// seed before anything happens. A scenario is plain JSON: a failing one is made smaller by taking things out of it, and kept as a file.

import { type Dice, Simulation } from './simulation.ts'

/** A broker by its id, or by what it is at the time. */
export type BrokerChoice = number | 'controller' | 'leader' | 'coordinator'

/** What goes wrong, or is done by an administrator. `forMs`: until it is undone. */
export type Fault = { readonly atMs: number } & FaultKind

export type FaultKind =
  /** SIGKILL, and again after `forMs`. With the power, what was not flushed is lost, or a part of it. */
  | { readonly kind: 'kill' | 'power cut' | 'stop'; readonly broker: BrokerChoice; readonly forMs: number }
  | {
      readonly kind: 'pause' | 'cut from store' | 'lagging watch' | 'slow disk'
      readonly broker: BrokerChoice
      readonly forMs: number
    }
  /** From the other brokers, or from clients too. One way: what it sends is lost, or what it is sent. */
  | {
      readonly kind: 'isolate'
      readonly broker: BrokerChoice
      readonly forMs: number
      readonly way: 'both' | 'to' | 'from'
      readonly clientsToo: boolean
    }
  /** Two brokers, from each other or one from the other. */
  | { readonly kind: 'cut'; readonly from: number; readonly to: number; readonly bothWays: boolean; readonly forMs: number }
  | { readonly kind: 'slow network'; readonly mostMs: number; readonly forMs: number }
  | { readonly kind: 'no store'; readonly forMs: number }
  /** Commits that are applied, and nobody hears of it; that never arrive; that arrive late. */
  | { readonly kind: 'unreliable store'; readonly probability: number; readonly forMs: number }
  | { readonly kind: 'lease expires' | 'clock jumps'; readonly broker: BrokerChoice; readonly byMs: number }
  | { readonly kind: 'compaction' }
  | {
      readonly kind: 'disk error'
      readonly broker: BrokerChoice
      readonly directory: number
      readonly code: 'EIO' | 'ENOSPC'
      readonly forMs: number
    }
  | { readonly kind: 're-create' | 'grow'; readonly topic: string }
  | {
      readonly kind: 'reassign'
      readonly topic: string
      readonly partition: number
      readonly turn: number
      readonly cancelAfterMs: number
    }
  | { readonly kind: 'elect' }
  | { readonly kind: 'configure'; readonly topic: string; readonly key: string; readonly value: string }

export interface TopicPlan {
  readonly name: string
  readonly partitions: number
  readonly replicas: number
  readonly minIsr: number
  readonly configs: Readonly<Record<string, string>>
}

export type ClientPlan = { readonly name: string; readonly topic: string } & (
  | {
      readonly kind: 'producer'
      readonly acks: 'all' | 0 | 1
      readonly idempotence: boolean
      readonly pauseMs: number
      readonly burst: number
    }
  | { readonly kind: 'transactions'; readonly transactionalId: string; readonly pauseMs: number; readonly size: number }
  | { readonly kind: 'reader'; readonly isolation: 'read_committed' | 'read_uncommitted' }
  | { readonly kind: 'member'; readonly groupId: string; readonly assignor: 'range' | 'cooperative'; readonly lifeMs: number }
  | { readonly kind: 'processor'; readonly groupId: string; readonly transactionalId: string; readonly sink: string }
)

export interface Scenario {
  readonly seed: number
  readonly brokers: number
  /** Until everything is healed. */
  readonly durationMs: number
  /** One way, of each piece, in ms. */
  readonly latencyMs: { readonly least: number; readonly most: number }
  /** Keys of server.properties. */
  readonly settings: Readonly<Record<string, string>>
  readonly topics: readonly TopicPlan[]
  readonly clients: readonly ClientPlan[]
  /** In the order of their times. */
  readonly faults: readonly Fault[]
}

/** Deleted and made again in some scenarios: what was in it is nobody's promise. */
export const VOLATILE_TOPIC = 'volatile'
export const SOURCE = 'source'
export const SINK = 'sink'

const FAULT_KINDS: readonly FaultKind['kind'][] = [
  'kill',
  'power cut',
  'stop',
  'pause',
  'isolate',
  'cut',
  'cut from store',
  'no store',
  'unreliable store',
  'lagging watch',
  'lease expires',
  'compaction',
  'clock jumps',
  'slow disk',
  'slow network',
  'disk error',
  're-create',
  'grow',
  'reassign',
  'elect',
  'configure',
]

const CONFIGS = [
  { key: 'min.insync.replicas', value: '1' },
  { key: 'min.insync.replicas', value: '2' },
  { key: 'flush.policy', value: 'os' },
  { key: 'flush.policy', value: 'group' },
]

/** The scenario of a seed. Each has only some of the faults: too many at once, and nothing works long enough to break. */
export function scenarioOf(seed: number): Scenario {
  const dice = new Simulation(seed).stream('scenario')
  const brokers = dice.pick([3, 3, 3, 4, 5])
  const durationMs = dice.between(3, 8) * 1000
  const topics = topicsOf(dice, brokers)
  return {
    seed,
    brokers,
    durationMs,
    latencyMs: dice.pick([
      { least: 0.05, most: 0.5 },
      { least: 0.5, most: 5 },
      { least: 2, most: 25 },
    ]),
    settings: settingsOf(dice, brokers),
    topics,
    clients: clientsOf(dice, topics),
    faults: faultsOf(dice, { brokers, durationMs, topics }),
  }
}

function settingsOf(dice: Dice, brokers: number): Record<string, string> {
  const replicas = Math.min(3, brokers)
  return {
    'broker.session.timeout.ms': dice.pick(['1500', '2000', '4000']),
    'broker.heartbeat.interval.ms': '300',
    'replica.lag.time.max.ms': dice.pick(['500', '1500', '5000']),
    'replica.fetch.wait.max.ms': dice.pick(['100', '500']),
    'replica.fetch.max.bytes': dice.pick(['1000', '1048576']),
    'replica.high.watermark.checkpoint.interval.ms': dice.pick(['500', '5000']),
    'replica.socket.timeout.ms': '3000',
    'log.flush.policy': dice.pick(['group', 'group', 'os']),
    'log.flush.offset.checkpoint.interval.ms': dice.pick(['1000', '60000']),
    'num.replica.fetchers': dice.pick(['1', '2']),
    'leader.imbalance.check.interval.seconds': dice.pick(['3', '300']),
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'offsets.topic.num.partitions': '2',
    'offsets.topic.replication.factor': String(replicas),
    'transaction.state.log.num.partitions': '2',
    'transaction.state.log.replication.factor': String(replicas),
    'transaction.state.log.min.isr': '2',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    'default.replication.factor': String(replicas),
    'min.insync.replicas': '2',
    'compression.type': 'producer',
    'controlled.shutdown.enable': 'true',
    'request.timeout.ms': '3000',
    'initial.broker.registration.timeout.ms': '20000',
    'auto.create.topics.enable': 'false',
  }
}

function topicsOf(dice: Dice, brokers: number): TopicPlan[] {
  const topic = (name: string): TopicPlan => {
    const replicas = Math.min(brokers, dice.pick([2, 3, 3, 3]))
    return { name, partitions: dice.between(1, 3), replicas, minIsr: dice.pick([1, 2, 2, 2]), configs: {} }
  }
  const topics = [topic('events')]
  if (dice.chance(0.4)) topics.push(topic('single'))
  if (dice.chance(0.4)) topics.push(topic(SOURCE), topic(SINK))
  if (dice.chance(0.3)) topics.push(topic(VOLATILE_TOPIC))
  return topics.map((plan) => (plan.name === 'single' ? { ...plan, replicas: 1, minIsr: 1 } : plan))
}

function clientsOf(dice: Dice, topics: readonly TopicPlan[]): ClientPlan[] {
  const clients: ClientPlan[] = []
  for (const { name: topic } of topics) {
    if (topic === SINK) continue
    for (let i = dice.between(1, 2); i > 0; i--) {
      const acks = dice.pick(['all', 'all', 'all', 1, 0] as const)
      const idempotence = acks === 'all' && dice.chance(0.7)
      const pauseMs = dice.pick([100, 300, 1000])
      clients.push({
        kind: 'producer',
        name: `${topic}-producer-${i}`,
        topic,
        acks,
        idempotence,
        pauseMs,
        burst: dice.between(1, 5),
      })
    }
  }
  if (dice.chance(0.5)) {
    // Sometimes two have the same id, and fence one another.
    for (let i = dice.between(1, 3); i > 0; i--) {
      const plan = { transactionalId: `tx-${dice.below(2)}`, pauseMs: dice.pick([50, 300]), size: dice.between(1, 6) }
      clients.push({ kind: 'transactions', name: `transactions-${i}`, topic: 'events', ...plan })
    }
  }
  for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
    if (isolation === 'read_committed' || dice.chance(0.6))
      clients.push({ kind: 'reader', name: isolation, topic: 'events', isolation })
  }
  if (dice.chance(0.5)) {
    const assignor = dice.pick(['range', 'cooperative'] as const)
    for (let i = dice.between(1, 3); i > 0; i--) {
      const lifeMs = dice.pick([3_000, 1_000_000])
      clients.push({ kind: 'member', name: `member-${i}`, topic: 'events', groupId: 'group', assignor, lifeMs })
    }
  }
  if (topics.some(({ name }) => name === SOURCE)) {
    for (let i = dice.between(1, 2); i > 0; i--) {
      const plan = { groupId: 'processors', transactionalId: `processor-${i}`, sink: SINK }
      clients.push({ kind: 'processor', name: `processor-${i}`, topic: SOURCE, ...plan })
    }
  }
  return clients
}

interface FaultBounds {
  readonly brokers: number
  readonly durationMs: number
  readonly topics: readonly TopicPlan[]
}

function faultsOf(dice: Dice, bounds: FaultBounds): Fault[] {
  const kinds = FAULT_KINDS.filter(() => dice.chance(0.3))
  const count = kinds.length === 0 ? 0 : dice.between(2, 10)
  const faults = Array.from({ length: count }, (): Fault => {
    return { atMs: dice.between(500, bounds.durationMs), ...faultOf(dice, dice.pick(kinds), bounds) }
  })
  return faults.sort((a, b) => a.atMs - b.atMs)
}

function faultOf(dice: Dice, kind: FaultKind['kind'], { brokers, topics }: FaultBounds): FaultKind {
  const anyBroker = () => dice.between(1, brokers)
  const broker: BrokerChoice = dice.chance(0.5)
    ? anyBroker()
    : dice.pick(['controller', 'leader', 'leader', 'coordinator'] as const)
  const forMs = dice.pick([dice.between(20, 500), dice.between(500, 3000), dice.between(3000, 7000)])
  const topic = dice.pick(topics).name
  switch (kind) {
    case 'kill':
    case 'power cut':
    case 'stop':
    case 'pause':
    case 'cut from store':
    case 'lagging watch':
    case 'slow disk':
      return { kind, broker, forMs }
    case 'isolate':
      return { kind, broker, forMs, way: dice.pick(['both', 'both', 'to', 'from'] as const), clientsToo: dice.chance(0.3) }
    case 'cut': {
      const from = anyBroker()
      const to = (from % brokers) + 1
      return { kind, from, to, bothWays: dice.chance(0.5), forMs }
    }
    case 'slow network':
      return { kind, mostMs: dice.pick([20, 100, 400]), forMs }
    case 'no store':
      return { kind, forMs }
    case 'unreliable store':
      return { kind, probability: dice.pick([0.1, 0.4]), forMs: forMs * 2 }
    case 'lease expires':
      return { kind, broker, byMs: 0 }
    case 'clock jumps':
      return { kind, broker, byMs: dice.pick([-3_600_000, -5000, 5000, 3_600_000]) }
    case 'compaction':
      return { kind }
    case 'disk error':
      return { kind, broker, directory: dice.below(2), code: dice.pick(['EIO', 'ENOSPC'] as const), forMs }
    case 're-create':
      return { kind, topic: topics.some(({ name }) => name === VOLATILE_TOPIC) ? VOLATILE_TOPIC : '' }
    case 'grow':
      // Groups look for new partitions every five minutes: nobody waits for that.
      return { kind, topic: topic === SOURCE ? 'events' : topic }
    case 'reassign':
      return { kind, topic, partition: 0, turn: dice.between(1, 4), cancelAfterMs: dice.pick([-1, -1, 100]) }
    case 'elect':
      return { kind }
    case 'configure':
      return { kind, topic, ...dice.pick(CONFIGS) }
  }
}
