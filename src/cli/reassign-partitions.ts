// kafka-reassign-partitions: proposes where partitions could go, moves them there, tells how far that is, and takes it back.

import { readFile } from 'node:fs/promises'
import type { Reassignment } from '../client/admin/cluster-admin.ts'
import { Admin } from '../client/admin.ts'
import { partitionKey } from '../client/metadata.ts'
import { placeReplicas } from '../cluster/controller/replica-placement.ts'
import { realRandom } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import {
  type Assignment,
  duplicates,
  formatAssignments,
  nameOf,
  parseAssignments,
  parseTopicsToMove,
  sortedPartitions,
  wantedDirectories,
} from './reassignment-file.ts'
import { clearThrottle, type Move, setThrottle } from './replication-throttle.ts'
import { integer, runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-reassign-partitions',
  summary: 'Moves partitions to other brokers. ("moldau rebalance" finds out by itself what should go where.)',
  errorPrefix: 'Error:',
  examples: `# propose how topics could lie on brokers 1, 2, 3 and 4; topics.json: {"version":1,"topics":[{"topic":"payments"}]}
kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --generate --topics-to-move-json-file topics.json --broker-list 1,2,3,4
# do what a file says, which --generate has printed or you have written
kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --execute --reassignment-json-file moves.json
# is it done?
kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --verify --reassignment-json-file moves.json
kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --list
kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --cancel --reassignment-json-file moves.json
`,
}

const ACTIONS = ['generate', 'execute', 'verify', 'cancel', 'list'] as const
type Action = (typeof ACTIONS)[number]

interface Flags extends Partial<Record<Action, boolean>> {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly reassignmentJsonFile?: string
  readonly topicsToMoveJsonFile?: string
  readonly brokerList?: string
  readonly throttle?: number
  readonly replicaAlterLogDirsThrottle?: number
  readonly additional?: boolean
  readonly preserveThrottles?: boolean
  readonly disableRackAware?: boolean
  readonly timeout?: number
}

/** What each action needs, and what else it takes. */
const NEEDS: Readonly<Record<Action, readonly (keyof Flags)[]>> = {
  generate: ['topicsToMoveJsonFile', 'brokerList'],
  execute: ['reassignmentJsonFile'],
  verify: ['reassignmentJsonFile'],
  cancel: ['reassignmentJsonFile'],
  list: [],
}
const TAKES: Readonly<Record<Action, readonly (keyof Flags)[]>> = {
  generate: ['disableRackAware'],
  execute: ['additional', 'throttle', 'replicaAlterLogDirsThrottle', 'timeout'],
  verify: ['preserveThrottles'],
  cancel: ['preserveThrottles', 'timeout'],
  list: [],
}

const EXISTING =
  'Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment.'
const VERIFY_LATER =
  'Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.'

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .option('--generate', 'propose an assignment; nothing is changed')
    .option('--execute', 'begin to move; how far it is --verify tells')
    .option('--verify', 'tell whether what a file says is done, and take throttles away once it is')
    .option('--cancel', 'take back the moves that a file names')
    .option('--list', 'list all moves that are under way')
    .addOption(
      text(
        '--reassignment-json-file <file>',
        'assignments: {"version":1,"partitions":[{"topic":"foo","partition":1,"replicas":[1,2,3]}]}',
      ),
    )
    .addOption(text('--topics-to-move-json-file <file>', 'topics for --generate: {"version":1,"topics":[{"topic":"foo"}]}'))
    .addOption(text('--broker-list <ids>', 'brokers for --generate, separated by commas'))
    .addOption(
      integer('--throttle <bytes>', 'bytes a second that each broker may send and fetch for it', -1, Number.MAX_SAFE_INTEGER),
    )
    .addOption(
      integer('--replica-alter-log-dirs-throttle <bytes>', 'the same between log directories', -1, Number.MAX_SAFE_INTEGER),
    )
    .option('--additional', 'begin although other moves are under way')
    .option('--preserve-throttles', 'leave throttles as they are')
    .option('--disable-rack-aware', 'do not look at racks')
    .addOption(integer('--timeout <ms>', 'how long to wait for moves between log directories to begin').hideHelp())
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    const action = actionOf(flags)
    await withCluster(flags, { clientId: 'reassign-partitions-tool' }, (cluster) => actions[action](new Admin(cluster), flags))
  })
}

const flagName = (flag: string) => `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

function actionOf(flags: Flags): Action {
  const chosen = ACTIONS.filter((action) => flags[action])
  if (chosen.length !== 1)
    throw new UsageError('Command must include exactly one action: --cancel, --execute, --generate, --list, --verify')
  const [action] = chosen
  for (const flag of NEEDS[action])
    if (flags[flag] === undefined) throw new UsageError(`Missing required argument "${flagName(flag)}"`)
  const allowed: string[] = [...NEEDS[action], ...TAKES[action], action, 'bootstrapServer', 'commandConfig']
  for (const flag of Object.keys(flags))
    if (!allowed.includes(flag)) throw new UsageError(`Option "${flagName(flag)}" can't be used with action "--${action}"`)
  return action
}

const contents = (path: string) =>
  readFile(path, 'utf8').catch((error) => Promise.reject(new UsageError(`${path}: ${error.message}`)))

const actions: Readonly<Record<Action, (admin: Admin, flags: Flags) => Promise<void>>> = {
  async generate(admin, { topicsToMoveJsonFile, brokerList, disableRackAware }) {
    const topics = parseTopicsToMove(await contents(topicsToMoveJsonFile!))
    const ids = brokerList!.split(',').map((id) => Number(id.trim()))
    if (ids.some((id) => !Number.isInteger(id))) throw new UsageError(`--broker-list ${brokerList}: ids like 1,2,3 are meant`)
    const twice = duplicates(ids)
    if (twice.length > 0) throw new UsageError(`Broker list contains duplicate entries: [${twice.join(', ')}]`)
    const current = await withDirectories(admin, await assignmentsOf(admin, topics))
    const brokers = (await admin.cluster.describe()).brokers
      .filter(({ nodeId }) => ids.includes(nodeId))
      .map(({ nodeId, rack }) => ({ id: nodeId, rack: disableRackAware ? null : rack, machine: null }))
    const rackless = brokers.filter(({ rack }) => rack === null).length
    if (rackless > 0 && rackless < brokers.length)
      throw new UsageError(
        'Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.',
      )
    const proposed = [...Map.groupBy(current, ({ topic }) => topic)].flatMap(([topic, partitions]) =>
      placeReplicas(brokers, partitions.length, partitions[0].replicas.length, realRandom).map((replicas, partition) => ({
        topic,
        partition,
        replicas,
      })),
    )
    console.log(`Current partition replica assignment\n${formatAssignments(current)}\n`)
    console.log(`Proposed partition reassignment configuration\n${formatAssignments(proposed)}`)
  },

  async execute(admin, { reassignmentJsonFile, additional, throttle = -1 }) {
    const proposed = parseAssignments(await contents(reassignmentJsonFile!))
    const moves = await admin.cluster.reassignments()
    if (moves.size > 0 && !additional) throw new Error(EXISTING)
    const live = (await admin.cluster.describe()).brokers.map(({ nodeId }) => nodeId)
    const unknown = proposed.flatMap(({ replicas }) => replicas).find((id) => !live.includes(id))
    if (unknown !== undefined) throw new Error(`Unknown broker id ${unknown}`)
    await checkDirectories(admin, proposed)
    const current = await withDirectories(admin, await currentOf(admin, proposed))
    console.log(`Current partition replica assignment\n\n${formatAssignments(current)}\n`)
    console.log('Save this to use as the --reassignment-json-file option during rollback')
    if (throttle >= 0) {
      console.log(VERIFY_LATER)
      await setThrottle(admin, waysOf(proposed, current, moves), throttle)
      console.log(`The inter-broker throttle limit was set to ${throttle} B/s`)
    }
    refuseFailed('Error reassigning partition(s):', await admin.cluster.reassign(proposed))
    const what = sortedPartitions(proposed).map(nameOf)
    console.log(`Successfully started partition reassignment${what.length === 1 ? '' : 's'} for ${what.join()}`)
  },

  async verify(admin, { reassignmentJsonFile, preserveThrottles }) {
    const targets = parseAssignments(await contents(reassignmentJsonFile!))
    const moves = await admin.cluster.reassignments()
    const current = new Map(
      (await assignmentsOf(admin, [...new Set(targets.map(({ topic }) => topic))], true)).map((each) => [nameOf(each), each]),
    )
    console.log('Status of partition reassignment:')
    for (const target of sortedPartitions(targets)) {
      const name = nameOf(target)
      const replicas = current.get(name)?.replicas ?? []
      if (moves.has(partitionKey(target.topic, target.partition)))
        console.log(`Reassignment of partition ${name} is still in progress.`)
      else if (replicas.join() === target.replicas.join()) console.log(`Reassignment of partition ${name} is completed.`)
      else
        console.log(
          `There is no active reassignment of partition ${name}, but replica set is ${replicas.join()} rather than ${target.replicas.join()}.`,
        )
    }
    // Where moves between log directories would stand.
    console.log('')
    // Of whatever else moves, too: its throttles cannot be told from these.
    if (moves.size === 0 && !preserveThrottles) await clearAll(admin, targets)
  },

  async cancel(admin, { reassignmentJsonFile, preserveThrottles }) {
    const targets = parseAssignments(await contents(reassignmentJsonFile!))
    const moves = await admin.cluster.reassignments()
    const active = sortedPartitions(targets.filter(({ topic, partition }) => moves.has(partitionKey(topic, partition))))
    if (active.length === 0) console.log('None of the specified partition reassignments are active.')
    else {
      const s = active.length === 1 ? '' : 's'
      const results = await admin.cluster.reassign(active.map(({ topic, partition }) => ({ topic, partition, replicas: null })))
      refuseFailed(`Error cancelling partition reassignment${s} for:`, results)
      console.log(`Successfully cancelled partition reassignment${s} for: ${active.map(nameOf).join()}`)
    }
    // Without a line break, as Kafka's own tool has it.
    process.stdout.write('None of the specified partition moves are active.')
    if (!preserveThrottles) await clearAll(admin, targets)
  },

  async list(admin) {
    const moves = sortedPartitions(
      [...(await admin.cluster.reassignments())].map(([key, move]) => {
        const slash = key.lastIndexOf('/')
        return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)), move }
      }),
    )
    if (moves.length === 0) return console.log('No partition reassignments found.')
    const some = (what: string, ids: readonly number[]) => (ids.length === 0 ? '' : ` ${what}: ${ids.join()}.`)
    console.log('Current partition reassignments:')
    for (const { move, ...partition } of moves) {
      const changes = some('adding', move.addingReplicas) + some('removing', move.removingReplicas)
      console.log(`${nameOf(partition)}: replicas: ${move.replicas.join()}.${changes}`)
    }
  },
}

/** `lenient`: topics that are not there are left out. */
async function assignmentsOf(admin: Admin, topics: readonly string[], lenient = false): Promise<Assignment[]> {
  const described = [...(await admin.topics.describe(topics))]
  return described.flatMap(([topic, result]) => {
    if (!(result instanceof KafkaError))
      return result.partitions.map(({ index, replicas }) => ({ topic, partition: index, replicas }))
    if (lenient) return []
    throw result.code === 'UNKNOWN_TOPIC_OR_PARTITION' ? new Error(`Topic ${topic} not found.`) : result
  })
}

/** Of these partitions. */
async function currentOf(admin: Admin, wanted: readonly Assignment[]): Promise<Assignment[]> {
  const names = new Set(wanted.map(nameOf))
  const current = (await assignmentsOf(admin, [...new Set(wanted.map(({ topic }) => topic))])).filter((each) =>
    names.has(nameOf(each)),
  )
  const missing = [...names].filter((name) => !current.some((each) => nameOf(each) === name))
  if (missing.length > 0) throw new Error(`Unable to find partition: ${missing.join(', ')}`)
  return current
}

/** With the log directory of each replica, where its broker tells. */
async function withDirectories(admin: Admin, assignments: readonly Assignment[]): Promise<Assignment[]> {
  const brokers = (await admin.cluster.describe()).brokers.map(({ nodeId }) => nodeId)
  const places = new Map<string, string>()
  for (const broker of brokers) {
    for (const { logDir, topics } of await admin.cluster.logDirs(broker))
      for (const { name, partitions } of topics)
        for (const { partitionIndex } of partitions) places.set(`${broker} ${partitionKey(name, partitionIndex)}`, logDir)
  }
  return assignments.map((each) => ({
    ...each,
    logDirs: each.replicas.map((id) => places.get(`${id} ${partitionKey(each.topic, each.partition)}`) ?? 'any'),
  }))
}

/** A broker with one directory puts everything there; nothing is moved between several yet. */
async function checkDirectories(admin: Admin, assignments: readonly Assignment[]): Promise<void> {
  for (const [broker, wanted] of Map.groupBy(wantedDirectories(assignments), ({ broker }) => broker)) {
    const there = (await admin.cluster.logDirs(broker)).map(({ logDir }) => logDir)
    const [{ directory }] = wanted
    if (there.length > 1)
      throw new Error(
        `${directory}: replicas cannot be moved between log directories yet; "any" leaves the choice to broker ${broker}`,
      )
    const elsewhere = wanted.find((each) => !there.includes(each.directory))
    if (elsewhere !== undefined) throw new Error(`${elsewhere.directory} is not a log directory of broker ${broker}`)
  }
}

/** Of all that is on the move, and of what will be. */
function waysOf(
  proposed: readonly Assignment[],
  current: readonly Assignment[],
  moves: ReadonlyMap<string, Reassignment>,
): Move[] {
  const ways = new Map<string, Move>()
  for (const [key, { replicas, addingReplicas }] of moves) {
    const slash = key.lastIndexOf('/')
    const sources = replicas.filter((id) => !addingReplicas.includes(id))
    ways.set(key, { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)), sources, destinations: addingReplicas })
  }
  const known = new Map(current.map((each) => [nameOf(each), each.replicas]))
  for (const { topic, partition, replicas } of proposed) {
    const key = partitionKey(topic, partition)
    const sources = ways.get(key)?.sources ?? known.get(nameOf({ topic, partition }))!
    ways.set(key, { topic, partition, sources, destinations: replicas.filter((id) => !sources.includes(id)) })
  }
  return [...ways.values()]
}

async function clearAll(admin: Admin, targets: readonly Assignment[]): Promise<void> {
  const live = (await admin.cluster.describe()).brokers.map(({ nodeId }) => nodeId)
  const named = targets.flatMap(({ replicas }) => replicas)
  const brokers = [...new Set([...live, ...named])].sort((a, b) => a - b)
  const topics = [...new Set(targets.map(({ topic }) => topic))]
  console.log(`Clearing broker-level throttles on broker${brokers.length === 1 ? '' : 's'} ${brokers.join()}`)
  console.log(`Clearing topic-level throttles on topic${topics.length === 1 ? '' : 's'} ${topics.join()}`)
  // A broker that is away cannot be asked to change its configuration; what it has it keeps until it is.
  await clearThrottle(
    admin,
    brokers.filter((id) => live.includes(id)),
    topics,
  )
}

function refuseFailed(title: string, results: ReadonlyMap<string, KafkaError | null>): void {
  const failed = [...results].filter(([, result]) => result !== null)
  if (failed.length === 0) return
  throw new Error(`${title}\n${failed.map(([key, error]) => `${key.replace(/\/(\d+)$/, '-$1')}: ${error!.message}`).join('\n')}`)
}
