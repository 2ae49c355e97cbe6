// kafka-delete-records: deletes the records of partitions up to an offset.

import { readFile } from 'node:fs/promises'
import { Admin } from '../client/admin.ts'
import { partitionKey, type TopicPartition } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-delete-records',
  summary: 'Deletes the records of partitions up to an offset, which is then their first.',
  examples: `# offsets.json: {"partitions": [{"topic": "events", "partition": 0, "offset": 100}], "version": 1}; offset -1 means all
kafka-delete-records.sh --bootstrap-server localhost:9092 --offset-json-file offsets.json
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly offsetJsonFile?: string
}

type Target = TopicPartition & { readonly offset: bigint }

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition)).addOption(
    text('--offset-json-file <file>', 'partitions with their offsets, see below (required)'),
  )
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    if (flags.offsetJsonFile === undefined) throw new UsageError('Missing required argument "--offset-json-file"')
    const targets = parseTargets(await readFile(flags.offsetJsonFile, 'utf8'))
    await withCluster(flags, { clientId: 'kafka-delete-records' }, async (cluster) => {
      console.log('Executing records delete operation')
      const results = await new Admin(cluster).topics.deleteRecords(targets)
      console.log('Records delete operation completed:')
      for (const { topic, partition } of targets) {
        const result = results.get(partitionKey(topic, partition))
        if (result instanceof KafkaError) process.exitCode = 1
        const outcome = result instanceof KafkaError ? `error: ${result.message}` : `low_watermark: ${result?.lowWatermark}`
        console.log(`partition: ${topic}-${partition}\t${outcome}`)
      }
    })
  })
}

/** Throws UsageError for anything that is not the documented form. */
export function parseTargets(json: string): Target[] {
  let root: unknown
  try {
    root = JSON.parse(json)
  } catch (error) {
    throw new UsageError(`The input string is not a valid JSON: ${(error as Error).message}`)
  }
  const { version = 1, partitions } = (root ?? {}) as { version?: unknown; partitions?: unknown }
  if (version !== 1) throw new UsageError(`Not supported version field value ${version}`)
  if (!Array.isArray(partitions)) throw new UsageError('Missing partitions field')
  const targets = partitions.map((entry: Record<string, unknown>): Target => {
    const { topic, partition, offset } = entry ?? {}
    if (typeof topic !== 'string' || !Number.isInteger(partition) || !Number.isSafeInteger(offset)) {
      throw new UsageError(`${JSON.stringify(entry)}: {"topic": name, "partition": number, "offset": number} is meant`)
    }
    return { topic, partition: partition as number, offset: BigInt(offset as number) }
  })
  const names = targets.map(({ topic, partition }) => `${topic}-${partition}`)
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  if (twice.length > 0)
    throw new UsageError(`Offset json file contains duplicate topic partitions: ${[...new Set(twice)].join()}`)
  return targets
}
