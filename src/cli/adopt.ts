// `moldau adopt`: takes over what a node of Apache Kafka has stored: topics with their ids and configuration, groups with their
// positions, transactions. Into a new data directory; where the data came from nothing is changed.

import { readdir, rm } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { DiskError, type DiskLock } from '../host/disk.ts'
import { type AdoptedData, copyLogs, openAndCheck, writeMetadata } from './adopted-data.ts'
import { type Adoption, planAdoption } from './adoption.ts'
import { isEmptyOrAbsent } from './backup-files.ts'
import { AdoptError, findLogs, lockSource, readIdentity, readMetadata } from './kafka-directories.ts'
import { KraftMetadataError } from './kraft-metadata.ts'

const HELP = `Takes over what a node of Apache Kafka 4 (broker and controller in one) has stored: topics, consumer groups' positions,
transactions. Kafka must have been stopped. Its files are copied and never changed.

  moldau adopt /var/lib/kafka/data
  moldau adopt /disk1/kafka /disk2/kafka --data-dir /var/lib/moldau

The directories are all of Kafka's log.dirs, and metadata.log.dir if it is another.

  --data-dir DIR     must be empty, or not exist yet                          (./data)
  --dry-run          only say what would be taken over, and what left out
`

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      'data-dir': { type: 'string', default: './data' },
      'dry-run': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
    allowPositionals: true,
  })
  // Nobody reads on.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  if (values.help) return void process.stdout.write(HELP)
  if (positionals.length === 0) return refuse('say where Kafka keeps its data: moldau adopt DIR…')
  const sources = [...new Set(positionals.map((path) => resolve(path)))]
  try {
    await adopt(sources, resolve(values['data-dir']), values['dry-run'])
  } catch (error) {
    if (
      !(error instanceof AdoptError || error instanceof KraftMetadataError || error instanceof DiskError || isSystemError(error))
    )
      throw error
    refuse(error.message)
  }
}

async function adopt(sources: readonly string[], target: string, dryRun: boolean): Promise<void> {
  const locks: DiskLock[] = []
  try {
    for (const source of sources) locks.push(...(await lockSource(source)))
    const identity = await readIdentity(sources)
    const metadata = await readMetadata(sources)
    const logs = await findLogs(sources)
    const adoption = planAdoption(metadata.image, logs.found, identity.nodeId)
    const leftOut = [...logs.leftOut, ...adoption.leftOut]
    if (adoption.topics.length === 0) throw new AdoptError(['there is nothing to take over', ...leftOut].join('\n  '))
    if (dryRun) {
      for (const { topic, partitions } of adoption.topics) say(`${topic.name}: ${count(partitions.length, 'partition')}`)
      tellRest(adoption, leftOut)
      return
    }
    if (!(await isEmptyOrAbsent(target))) throw new AdoptError(`${target} is not empty`)
    const inside = sources.find((source) => `${target}${sep}`.startsWith(`${source}${sep}`))
    if (inside !== undefined) throw new AdoptError(`${target} lies in ${inside}, which is to stay as it is`)
    let data: AdoptedData
    try {
      await copyLogs(sources, adoption, target)
      await writeMetadata(adoption, metadata.image, identity, target)
      data = await openAndCheck(adoption, identity, target)
    } catch (error) {
      // All that is there is a part of what this command was to make.
      for (const name of await readdir(target).catch(() => [])) await rm(join(target, name), { recursive: true })
      throw error
    }
    for (const { topic, partitions, offsets, bytes } of data.topics)
      say(`${topic}: ${count(partitions, 'partition')}, ${count(offsets, 'offset')}, ${count(bytes, 'byte')}`)
    tellRest(adoption, leftOut)
    for (const line of data.damage) process.stderr.write(`moldau adopt: ${line}\n`)
    if (data.damage.length > 0) process.exitCode = 1
    const node = identity.nodeId === 1 ? '' : ` --node-id ${identity.nodeId}`
    say(`${count(adoption.topics.length, 'topic')} taken over into ${target}. To go on: moldau start --data-dir ${target}${node}`)
  } finally {
    for (const lock of locks) await lock.release()
  }
}

function tellRest({ remarks }: Adoption, leftOut: readonly string[]): void {
  if (leftOut.length > 0) say('left out:')
  for (const line of leftOut) say(`  ${line}`)
  for (const line of remarks) say(line)
}

const count = (number: number | bigint, what: string) => `${number} ${what}${Number(number) === 1 ? '' : 's'}`

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && (error as NodeJS.ErrnoException).syscall !== undefined

function refuse(reason: string): void {
  process.stderr.write(`moldau adopt: ${reason}\n`)
  process.exitCode = 1
}
