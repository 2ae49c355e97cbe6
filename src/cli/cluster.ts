// kafka-cluster, and more than Kafka's: the cluster's id, its brokers, how it is doing, and what is wrong with it.

import { Admin } from '../client/admin.ts'
import { row, widest } from './table.ts'
import { integer, runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-cluster',
  summary: 'Shows a cluster and how it is doing, says what is wrong with it, and forgets brokers that are gone for good.',
  examples: `kafka-cluster.sh cluster-id --bootstrap-server localhost:9092
kafka-cluster.sh list-endpoints --bootstrap-server localhost:9092 --include-fenced-brokers
# broker 4 will not come back
kafka-cluster.sh unregister --id 4 --bootstrap-server localhost:9092
# who is the controller, which brokers there are, how far each of them is, how etcd is doing
moldau cluster status --bootstrap-server localhost:9092 --cluster etcd://host1:2379,host2:2379,host3:2379
# what is wrong and what to do about it; exit code 1 if anything is
moldau cluster check --bootstrap-server localhost:9092
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly config?: string
  readonly id?: number
  readonly includeFencedBrokers?: boolean
  readonly cluster?: string
  readonly etcdConfig?: string
}

export async function run(args: string[]): Promise<void> {
  const command = toolCommand(definition)
  let work: ((admin: Admin) => Promise<void>) | undefined
  let flags: Flags = {}
  const add = (name: string, summary: string, todo: (admin: Admin, flags: Flags) => Promise<void>) => {
    const sub = withConnection(command.command(name).description(summary).allowExcessArguments(false))
    return sub.addOption(text('-c, --config <file>', 'older name of --command-config').hideHelp()).action((given: Flags) => {
      flags = { ...given, commandConfig: given.commandConfig ?? given.config }
      work = (admin) => todo(admin, flags)
    })
  }
  add('cluster-id', 'print the id of the cluster', async (admin) => {
    const { clusterId } = await admin.cluster.describe()
    console.log(clusterId === null ? 'No cluster ID found. The Kafka version is probably too old.' : `Cluster ID: ${clusterId}`)
  })
  add('unregister', 'forget a broker that is gone for good', unregister).addOption(integer('-i, --id <id>', 'the broker'))
  add('list-endpoints', 'list where brokers can be reached', listEndpoints).option(
    '--include-fenced-brokers',
    'those that are fenced, too',
  )
  for (const name of ['status', 'check'] as const) {
    const summary =
      name === 'status' ? 'show how the cluster is doing' : 'say what is wrong and what to do; exit code 1 if anything is'
    add(name, summary, async (admin, { cluster, etcdConfig }) => {
      const { lookAtStore } = await import('./store-health.ts')
      const { describeStatus, findProblems } = await import('./cluster-health.ts')
      const { observeCluster } = await import('./cluster-observation.ts')
      const store = cluster === undefined && etcdConfig === undefined ? undefined : await lookAtStore(cluster, etcdConfig)
      const observed = await observeCluster(admin, store)
      if (name === 'status') return console.log(describeStatus(observed).join('\n'))
      const problems = findProblems(observed)
      if (problems.length === 0) return console.log('Nothing is wrong.')
      for (const { what, todo } of problems) console.log(`${what}\n  ${todo}`)
      process.exitCode = 1
    })
      .addOption(text('--cluster <address>', 'etcd://host:port,… of the cluster, to look at that, too'))
      .addOption(text('--etcd-config <file>', 'server.properties of a broker, for how etcd is reached'))
  }
  await runTool(definition, command, args, async () => {
    await withCluster(flags, { clientId: 'kafka-cluster' }, (cluster) => work!(new Admin(cluster)))
  })
}

async function unregister(admin: Admin, { id }: Flags): Promise<void> {
  if (id === undefined) throw new UsageError('Missing required option(s): id')
  await admin.cluster.unregister(id)
  console.log(`Broker ${id} is no longer registered.`)
}

async function listEndpoints(admin: Admin, { includeFencedBrokers }: Flags): Promise<void> {
  const { brokers } = await admin.cluster.describe({ includeFencedBrokers })
  const rows = brokers
    .toSorted((a, b) => a.nodeId - b.nodeId)
    .map(({ nodeId, host, port, rack, isFenced }) => [
      `${nodeId}`,
      host,
      `${port}`,
      `${rack}`,
      isFenced ? 'fenced' : 'unfenced',
      'broker',
    ])
  const widths = [
    10,
    widest(
      0,
      rows.map(([, host]) => host),
    ),
    10,
    widest(
      0,
      rows.map(([, , , rack]) => rack),
    ),
    10,
    15,
  ]
  for (const cells of [['ID', 'HOST', 'PORT', 'RACK', 'STATE', 'ENDPOINT_TYPE'], ...rows]) console.log(row(widths, cells))
}
