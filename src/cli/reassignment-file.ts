// The JSON that kafka-reassign-partitions reads and writes.

import type { TopicPartition } from '../client/metadata.ts'
import { UsageError } from './tool.ts'

export interface Assignment extends TopicPartition {
  readonly replicas: readonly number[]
  /** The log directory of each replica; `any` where it does not matter. All of them where absent. */
  readonly logDirs?: readonly string[]
}

const ANY = 'any'

/** One line, partitions in order. */
export function formatAssignments(assignments: readonly Assignment[]): string {
  const partitions = sortedPartitions(assignments).map(({ topic, partition, replicas, logDirs }) => ({
    topic,
    partition,
    replicas,
    log_dirs: logDirs ?? replicas.map(() => ANY),
  }))
  return JSON.stringify({ version: 1, partitions })
}

/** @throws {UsageError} */
export function parseAssignments(json: string): Assignment[] {
  const { partitions = [] } = parseVersioned<{ partitions: Record<string, unknown>[] }>(json)
  const assignments = partitions.map(({ topic, partition, replicas, log_dirs: directories }) => {
    if (
      typeof topic !== 'string' ||
      !Number.isInteger(partition) ||
      !Array.isArray(replicas) ||
      !replicas.every(Number.isInteger)
    )
      throw new UsageError('{"partitions":[{"topic":"foo","partition":1,"replicas":[1,2,3]}],"version":1} is meant')
    const logDirs = (directories ?? []) as string[]
    if (!Array.isArray(logDirs) || (logDirs.length > 0 && logDirs.length !== replicas.length))
      throw new UsageError(
        `Size of replicas list ${JSON.stringify(replicas)} is different from size of log dirs list ${JSON.stringify(logDirs)} for partition ${topic}-${partition}`,
      )
    return {
      topic,
      partition: partition as number,
      replicas: replicas as number[],
      logDirs: logDirs.length === 0 ? undefined : logDirs,
    }
  })
  if (assignments.length === 0) throw new UsageError('Partition reassignment list cannot be empty')
  if (assignments.some(({ replicas }) => replicas.length === 0)) throw new UsageError('Partition replica list cannot be empty')
  const twice = duplicates(assignments.map(nameOf))
  if (twice.length > 0) throw new UsageError(`Partition reassignment contains duplicate topic partitions: ${twice.join()}`)
  const repeated = assignments.flatMap((assignment) => {
    const ids = duplicates(assignment.replicas)
    return ids.length === 0 ? [] : [`${nameOf(assignment)} contains multiple entries for ${ids.join()}`]
  })
  if (repeated.length > 0)
    throw new UsageError(`Partition replica lists may not contain duplicate entries: ${repeated.join('. ')}`)
  return assignments
}

/** Replicas that are to be in a directory of their own choice: broker and directory. */
export function wantedDirectories(assignments: readonly Assignment[]): { broker: number; directory: string }[] {
  return assignments.flatMap(({ replicas, logDirs = [] }) =>
    logDirs.flatMap((directory, i) => (directory === ANY ? [] : [{ broker: replicas[i], directory }])),
  )
}

/** `{"topics":[{"topic":"foo"}],"version":1}`. @throws {UsageError} */
export function parseTopicsToMove(json: string): string[] {
  const { topics = [] } = parseVersioned<{ topics: { topic: unknown }[] }>(json)
  const names = topics.map(({ topic }) => {
    if (typeof topic !== 'string') throw new UsageError('{"topics":[{"topic":"foo"}],"version":1} is meant')
    return topic
  })
  const twice = duplicates(names)
  if (twice.length > 0) throw new UsageError(`List of topics to reassign contains duplicate entries: [${twice.join(', ')}]`)
  return names
}

export const nameOf = ({ topic, partition }: TopicPartition) => `${topic}-${partition}`

export function sortedPartitions<P extends TopicPartition>(partitions: Iterable<P>): P[] {
  return [...partitions].sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
}

export function duplicates<T>(values: readonly T[]): T[] {
  return [...new Set(values.filter((value, i) => values.indexOf(value) < i))]
}

function parseVersioned<T>(json: string): Partial<T> {
  let parsed: ({ version?: unknown } & Partial<T>) | null
  try {
    parsed = JSON.parse(json)
  } catch (error) {
    throw new UsageError(`The input string is not a valid JSON: ${(error as Error).message}`)
  }
  if (typeof parsed !== 'object' || parsed === null) throw new UsageError('The input string is not a JSON object')
  if ((parsed.version ?? 1) !== 1) throw new UsageError(`Not supported version field value ${parsed.version}`)
  return parsed
}
