// moldau rebalance: finds out which partitions should go to which brokers, shows it, and carries it out a few at a time.

import { writeFile } from 'node:fs/promises'
import { Admin } from '../client/admin.ts'
import { partitionKey } from '../client/metadata.ts'
import { delay, realClock } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { type Observation, observeCluster } from './cluster-observation.ts'
import { formatAssignments } from './reassignment-file.ts'
import { type Plan, type PlanChange, planRebalance } from './rebalance-plan.ts'
import { clearThrottle, setThrottle } from './replication-throttle.ts'
import { row, widest } from './table.ts'
import { integer, runTool, text, texts, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'moldau rebalance',
  summary: 'Spreads replicas and leadership evenly over the brokers. Without --execute it only shows what it would do.',
  examples: `# what would be moved, for example after a broker was added
moldau rebalance --bootstrap-server localhost:9092
# do it, two partitions at a time and 20 MB a second; Ctrl-C ends it after those, and it can be started again at any time
moldau rebalance --bootstrap-server localhost:9092 --execute --parallel 2 --throttle 20000000
# take back what is on its way
moldau rebalance --bootstrap-server localhost:9092 --stop
# broker 4 will go: move everything away from it
moldau rebalance --bootstrap-server localhost:9092 --remove-broker 4 --execute
`,
}

/** How often moves are looked after. */
const LOOK_MS = 250
const DEFAULT_PARALLEL = 5
/** Lines of a plan, beyond which they are counted. */
const SHOWN = 20

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly execute?: boolean
  readonly stop?: boolean
  readonly parallel?: number
  readonly throttle?: number
  readonly removeBroker?: readonly string[]
  readonly save?: string
  readonly cluster?: string
  readonly etcdConfig?: string
}

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .option('--execute', 'carry the plan out')
    .option('--stop', 'take back all moves that are under way')
    .addOption(integer('--parallel <partitions>', 'how many partitions are on the move at once (5)', 1, 1000))
    .addOption(
      integer('--throttle <bytes>', 'bytes a second that each broker sends and fetches for it', 1, Number.MAX_SAFE_INTEGER),
    )
    .addOption(texts('--remove-broker <id>', 'a broker that is to hold nothing; may be repeated'))
    .addOption(text('--save <file>', 'write the plan as kafka-reassign-partitions reads it'))
    .addOption(text('--cluster <address>', 'etcd://host:port,… of the cluster: needed where brokers were started with --machine'))
    .addOption(text('--etcd-config <file>', 'server.properties of a broker, for how etcd is reached'))
  await runTool(definition, command, args.length === 0 ? ['--help'] : args, async () => {
    const flags = command.opts<Flags>()
    if (flags.stop && (flags.execute || flags.save !== undefined || flags.removeBroker !== undefined))
      throw new UsageError('--stop goes by itself')
    await withCluster(flags, { clientId: 'moldau-rebalance' }, async (cluster) => {
      const admin = new Admin(cluster)
      if (flags.stop) return stop(admin)
      const { plan, observed } = await makePlan(admin, flags)
      show(plan, observed)
      const assignments = plan.changes.map(({ topic, index, after }) => ({ topic, partition: index, replicas: after }))
      if (flags.save !== undefined) await writeFile(flags.save, `${formatAssignments(assignments)}\n`)
      if (flags.execute) await carryOut(admin, plan, flags)
      else if (plan.changes.length > 0) console.log('\nNothing was changed: --execute does it.')
    })
  })
}

async function makePlan(admin: Admin, flags: Flags): Promise<{ plan: Plan; observed: Observation }> {
  const store =
    flags.cluster === undefined && flags.etcdConfig === undefined
      ? undefined
      : await (await import('./store-health.ts')).lookAtStore(flags.cluster, flags.etcdConfig)
  const observed = await observeCluster(admin, store)
  const removed = (flags.removeBroker ?? []).map(Number)
  const unknown = removed.find((id) => !observed.brokers.some((broker) => broker.id === id))
  if (unknown !== undefined) throw new UsageError(`--remove-broker: there is no broker ${unknown}`)
  const machines = new Map(store?.metadata?.brokers.map(({ id, machine }) => [id, machine]))
  // One that is away keeps what it has: it may come back. Nothing is moved there, though.
  const away = observed.brokers.filter(({ id, fenced }) => fenced && !removed.includes(id)).map(({ id }) => id)
  const brokers = observed.brokers
    .filter(({ id }) => !removed.includes(id) && !away.includes(id))
    .map(({ id, rack }) => ({ id, rack, machine: machines.get(id) ?? null }))
  if (brokers.length === 0) throw new UsageError('no broker is left to hold anything')
  const partitions = observed.partitions
    .filter(({ replicas }) => !replicas.some((id) => away.includes(id)))
    .map(({ topic, index, replicas, removing, bytes }) => ({
      topic,
      index,
      replicas: replicas.filter((id) => !removing.includes(id)),
      bytes,
    }))
  if (away.length > 0) console.error(`moldau: broker ${away.join(', ')} does not serve: its partitions are left as they are`)
  return { plan: planRebalance(brokers, partitions), observed }
}

function show({ changes, stuck }: Plan, { brokers, partitions }: Observation): void {
  for (const { topic, index, replicas } of stuck)
    console.log(`${topic}-${index} (${replicas.join()}) has no other broker to go to`)
  if (changes.length === 0) return console.log('There is nothing to move.')
  const copied = changes.filter(({ bytes, before, after }) => bytes > 0 || after.some((id) => !before.includes(id)))
  const bytes = changes.reduce((sum, change) => sum + change.bytes, 0)
  const reordered = changes.length - copied.length
  console.log(`${copied.length} partitions are copied (${size(bytes)}), ${reordered} get another preferred leader only.`)
  const after = new Map(changes.map((change) => [partitionKey(change.topic, change.index), change.after]))
  const counts = (of: (replicas: readonly number[]) => boolean) => {
    const before = partitions.filter(({ replicas }) => of(replicas)).length
    const then = partitions.filter(({ topic, index, replicas }) => of(after.get(partitionKey(topic, index)) ?? replicas)).length
    return before === then ? `${before}` : `${before} -> ${then}`
  }
  const rows = [
    ['BROKER', 'REPLICAS', 'PREFERRED-LEADER-OF'],
    ...brokers.map(({ id }) => [`${id}`, counts((replicas) => replicas.includes(id)), counts((replicas) => replicas[0] === id)]),
  ]
  const widths = rows[0].map((_, column) =>
    widest(
      0,
      rows.map((cells) => cells[column]),
    ),
  )
  for (const cells of rows) console.log(row(widths, cells).trimEnd())
  for (const change of changes.slice(0, SHOWN)) console.log(`  ${way(change)}`)
  if (changes.length > SHOWN) console.log(`  and ${changes.length - SHOWN} more (--save writes all of them to a file)`)
}

/** Under a throttle that ends with it, if one is asked for. */
async function carryOut(admin: Admin, plan: Plan, { parallel = DEFAULT_PARALLEL, throttle }: Flags): Promise<void> {
  const moves = plan.changes.map(({ topic, index, before, after }) => ({
    topic,
    partition: index,
    sources: before,
    destinations: after.filter((id) => !before.includes(id)),
  }))
  const copied = moves.filter(({ destinations }) => destinations.length > 0)
  if (throttle === undefined || copied.length === 0) return execute(admin, plan, parallel)
  await setThrottle(admin, copied, throttle)
  try {
    await execute(admin, plan, parallel)
  } finally {
    const live = (await admin.cluster.describe()).brokers.map(({ nodeId }) => nodeId)
    await clearThrottle(admin, live, [...new Set(copied.map(({ topic }) => topic))])
  }
}

/** At most so many at once. What fails is said, and the others go on. */
async function execute(admin: Admin, { changes }: Plan, parallel: number): Promise<void> {
  let interrupted = false
  process.once('SIGINT', () => {
    interrupted = true
    console.error('moldau: no further moves are begun; those under way are waited for. Once more to leave them alone')
  })
  // Whoever needs no copy is done at once.
  const waiting = changes.toSorted((a, b) => a.bytes - b.bytes)
  const moving = new Map<string, PlanChange>()
  let [done, failed] = [0, 0]
  while (moving.size > 0 || (waiting.length > 0 && !interrupted)) {
    const next = interrupted ? [] : waiting.splice(0, parallel - moving.size)
    if (next.length > 0) {
      const results = await admin.cluster.reassign(
        next.map(({ topic, index, after }) => ({ topic, partition: index, replicas: after })),
      )
      for (const change of next) {
        const result = results.get(partitionKey(change.topic, change.index))
        if (result instanceof KafkaError) {
          failed++
          console.error(`moldau: ${change.topic}-${change.index}: ${result.message}`)
        } else moving.set(partitionKey(change.topic, change.index), change)
      }
    }
    const active = await admin.cluster.reassignments()
    for (const [key, change] of moving) {
      if (active.has(key)) continue
      moving.delete(key)
      console.log(`${++done}/${changes.length} ${way(change)}`)
    }
    if (moving.size > 0) await delay(realClock, LOOK_MS)
  }
  if (changes.length > 0) await admin.cluster.electLeaders('preferred', null)
  if (interrupted && waiting.length > 0) console.log(`Stopped: ${waiting.length} moves were not begun.`)
  if (failed > 0) throw new Error(`${failed} partitions could not be moved`)
}

async function stop(admin: Admin): Promise<void> {
  const moves = [...(await admin.cluster.reassignments()).keys()].map((key) => {
    const slash = key.lastIndexOf('/')
    return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)), replicas: null }
  })
  if (moves.length === 0) return console.log('Nothing is on the move.')
  const results = await admin.cluster.reassign(moves)
  // What has arrived meanwhile has nothing left to take back.
  const failed = [...results].filter(([, result]) => result !== null && result.code !== 'NO_REASSIGNMENT_IN_PROGRESS')
  for (const [key, error] of failed) console.error(`moldau: ${key}: ${error!.message}`)
  console.log(`${moves.length - failed.length} moves are taken back.`)
  if (failed.length > 0) throw new Error(`${failed.length} could not be taken back`)
}

const way = ({ topic, index, before, after, bytes }: PlanChange) =>
  `${topic}-${index}: ${before.join()} -> ${after.join()}${bytes > 0 ? ` (${size(bytes)})` : ''}`

function size(bytes: number): string {
  const unit = bytes < 1024 ** 2 ? 1 : bytes < 1024 ** 3 ? 2 : 3
  return `${(bytes / 1024 ** unit).toFixed(1)} ${['', 'KiB', 'MiB', 'GiB'][unit]}`
}
