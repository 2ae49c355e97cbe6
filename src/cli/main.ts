// `moldau COMMAND …`, and each of Kafka's tools by its own name: both end here. Every command is a file of its own, loaded only when
// it runs, so that the broker starts without the tools and a tool without the broker.

type Run = (args: string[]) => Promise<void>

interface CommandEntry {
  readonly summary: string
  readonly load: () => Promise<{ readonly run: Run }>
}

const commands: Readonly<Record<string, CommandEntry>> = {
  start: { summary: 'start a broker', load: () => import('./start.ts') },
  topics: { summary: 'create, list, describe, alter and delete topics', load: () => import('./topics.ts') },
  'console-producer': { summary: 'send lines of standard input as records', load: () => import('./console-producer.ts') },
  'console-consumer': { summary: 'print records of topics', load: () => import('./console-consumer.ts') },
  'consumer-groups': { summary: 'list, describe, reset and delete consumer groups', load: () => import('./consumer-groups.ts') },
  configs: { summary: 'describe and alter configuration of topics, brokers, clients', load: () => import('./configs.ts') },
  'get-offsets': { summary: 'print offsets of partitions', load: () => import('./get-offsets.ts') },
  'delete-records': { summary: 'delete records up to an offset', load: () => import('./delete-records.ts') },
  'broker-api-versions': { summary: 'print what each broker speaks', load: () => import('./broker-api-versions.ts') },
  transactions: {
    summary: 'list and describe transactions, find and abort those that hang',
    load: () => import('./transactions.ts'),
  },
  cluster: { summary: 'show a cluster, say what is wrong with it, forget brokers', load: () => import('./cluster.ts') },
  rebalance: { summary: 'spread partitions evenly over the brokers', load: () => import('./rebalance.ts') },
  'leader-election': { summary: 'elect leaders of partitions', load: () => import('./leader-election.ts') },
  'reassign-partitions': { summary: 'move partitions to other brokers', load: () => import('./reassign-partitions.ts') },
  'log-dirs': { summary: 'print what lies in log directories', load: () => import('./log-dirs.ts') },
  backup: { summary: 'copy all data as it is at one moment, while the broker runs', load: () => import('./backup.ts') },
  restore: { summary: 'put a backup into a new data directory', load: () => import('./restore.ts') },
  adopt: { summary: 'take over the data of an Apache Kafka on this machine', load: () => import('./adopt.ts') },
  'schema-registry': { summary: 'serve a schema registry, for this or any Kafka', load: () => import('./schema-registry.ts') },
  'dump-log': { summary: 'print what is in segment files', load: () => import('./dump-log.ts') },
}

/** Runs a command to its end, or, for `start`, until it serves. Ends the process with code 1 if there is no such command. */
export async function main(args: string[]): Promise<void> {
  const [name, ...rest] = args
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(overview())
    return
  }
  if (name === '--version') {
    const { version } = await import('./version.ts')
    process.stdout.write(`${version()}\n`)
    return
  }
  // Kafka's own names work behind `moldau`, too.
  const entry = commands[name.replace(/^kafka-/, '').replace(/\.sh$/, '')]
  if (entry === undefined) {
    process.stderr.write(`moldau: there is no command "${name}"; "moldau help" lists them\n`)
    process.exitCode = 1
    return
  }
  const { run } = await entry.load()
  await run(rest)
}

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return `Usage: moldau COMMAND [options]

${lines.join('\n')}

"moldau COMMAND --help" explains a command. The tools are also there under Kafka's names: kafka-topics.sh and so on.
`
}
