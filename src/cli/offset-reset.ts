// Setting a group's positions by hand: from what the flags say to offsets within each partition, and, if told so, committed.

import { readFile } from 'node:fs/promises'
import type { Admin } from '../client/admin.ts'
import { OffsetSpec } from '../client/list-offsets.ts'
import { partitionKey, type TopicPartition } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { GroupFlags } from './consumer-groups.ts'
import { UsageError } from './tool.ts'

export type Position = TopicPartition & { readonly offset: bigint }
export type Plan = Map<string, readonly Position[]>

export function byPartition(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}

/** The new positions of each group, committed if `--execute` is given. A group with members is refused, and its plan empty. */
export async function resetOffsets(admin: Admin, groupIds: readonly string[], flags: GroupFlags): Promise<Plan> {
  const plan: Plan = new Map()
  const described = await admin.groups.describe(groupIds)
  const file = flags.fromFile === undefined ? undefined : await readPlan(flags.fromFile, groupIds)
  for (const groupId of groupIds) {
    const group = described.get(groupId)
    if (group instanceof KafkaError && group.code !== 'GROUP_ID_NOT_FOUND') throw group
    const state = group === undefined || group instanceof KafkaError ? 'Dead' : group.state
    if (state !== 'Empty' && state !== 'Dead') {
      process.stderr.write(
        `\nError: Assignments can only be reset if the group '${groupId}' is inactive, but the current state is ${state}.\n`,
      )
      process.exitCode = 1
      plan.set(groupId, [])
      continue
    }
    const positions = file === undefined ? await newPositions(admin, groupId, flags) : await filePositions(admin, groupId, file)
    if (flags.execute) await admin.groups.alterOffsets(groupId, positions)
    plan.set(groupId, [...positions].sort(byPartition))
  }
  return plan
}

async function newPositions(admin: Admin, groupId: string, flags: GroupFlags): Promise<Position[]> {
  const partitions = await partitionsInScope(admin, groupId, flags)
  await checkPartitions(admin, partitions)
  if (flags.toEarliest) return offsetsAt(admin, partitions, OffsetSpec.EARLIEST)
  if (flags.toLatest) return offsetsAt(admin, partitions, OffsetSpec.LATEST)
  if (flags.toDatetime !== undefined) return offsetsSince(admin, partitions, parseDateTime(flags.toDatetime))
  if (flags.byDuration !== undefined) return offsetsSince(admin, partitions, BigInt(Date.now()) - parseDuration(flags.byDuration))
  if (flags.toOffset !== undefined) {
    const offset = parseInteger(flags.toOffset, '--to-offset')
    return withinLog(
      admin,
      partitions.map((partition) => ({ ...partition, offset })),
    )
  }
  const committed = await admin.groups.offsets(groupId)
  const positionOf = ({ topic, partition }: TopicPartition) => committed.get(partitionKey(topic, partition))?.offset
  if (flags.shiftBy !== undefined) {
    const by = parseInteger(flags.shiftBy, '--shift-by')
    const shifted = partitions.map((partition) => {
      const position = positionOf(partition)
      if (position !== undefined) return { ...partition, offset: position + by }
      const name = `${partition.topic}-${partition.partition}`
      throw new UsageError(`Cannot shift offset for partition ${name} since there is no current committed offset`)
    })
    return withinLog(admin, shifted)
  }
  // To where it stands; partitions it has not read yet, to their end.
  const known = partitions.flatMap((partition) => {
    const offset = positionOf(partition)
    return offset === undefined ? [] : [{ ...partition, offset }]
  })
  const unknown = partitions.filter((partition) => positionOf(partition) === undefined)
  return [...known, ...(await offsetsAt(admin, unknown, OffsetSpec.LATEST))]
}

async function partitionsInScope(admin: Admin, groupId: string, flags: GroupFlags): Promise<TopicPartition[]> {
  if (flags.allTopics)
    return [...(await admin.groups.offsets(groupId)).values()].map(({ topic, partition }) => ({ topic, partition }))
  return parseTopics(admin, flags.topic ?? [])
}

/** `topic`, or `topic:0,1`. Throws UsageError, and KafkaError for topics that are not there. */
async function parseTopics(admin: Admin, topics: readonly string[]): Promise<TopicPartition[]> {
  const whole = topics.filter((topic) => !topic.includes(':'))
  const described = whole.length === 0 ? new Map() : await admin.topics.describe(whole)
  return topics.flatMap((argument): TopicPartition[] => {
    if (!argument.includes(':')) {
      const topic = described.get(argument)
      if (topic instanceof KafkaError) throw topic
      return topic.partitions.map(({ index }: { index: number }) => ({ topic: argument, partition: index }))
    }
    return parseTopicPartitions(argument)
  })
}

function parseTopicPartitions(argument: string): TopicPartition[] {
  const [topic, list, ...more] = argument.split(':')
  if (!topic || !list || more.length > 0)
    throw new UsageError(`Invalid topic arg '${argument}', expected topic name and partitions`)
  return list.split(',').map((partition) => {
    if (!/^\d+$/.test(partition)) throw new UsageError(`Invalid partition '${partition}' specified in topic arg '${argument}'`)
    return { topic, partition: Number(partition) }
  })
}

async function checkPartitions(admin: Admin, partitions: readonly TopicPartition[]): Promise<void> {
  const topics = new Map((await admin.topics.list()).map((topic) => [topic.name, topic]))
  const names = (list: readonly TopicPartition[]) => list.map(({ topic, partition }) => `${topic}-${partition}`).join()
  const missing = partitions.filter(({ topic, partition }) => topics.get(topic)?.partitions[partition] === undefined)
  if (missing.length > 0) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `The partitions "${names(missing)}" do not exist`)
  const leaderless = partitions.filter(({ topic, partition }) => topics.get(topic)!.partitions[partition].leaderId < 0)
  if (leaderless.length > 0) throw new KafkaError('LEADER_NOT_AVAILABLE', `The partitions "${names(leaderless)}" have no leader`)
}

async function offsetsAt(admin: Admin, partitions: readonly TopicPartition[], timestamp: bigint): Promise<Position[]> {
  const offsets = await admin.topics.offsets(partitions.map((partition) => ({ ...partition, timestamp })))
  return partitions.map(({ topic, partition }) => {
    const found = offsets.get(partitionKey(topic, partition))
    if (found === undefined || found instanceof KafkaError) throw found ?? new KafkaError('UNKNOWN_TOPIC_OR_PARTITION')
    return { topic, partition, offset: found.offset }
  })
}

async function offsetsSince(admin: Admin, partitions: readonly TopicPartition[], timestamp: bigint): Promise<Position[]> {
  const found = await offsetsAt(admin, partitions, timestamp)
  const none = found.filter(({ offset }) => offset < 0n)
  for (const { topic, partition } of none) {
    process.stderr.write(`\nWarn: Partition ${partition} from topic ${topic} is empty. Falling back to latest known offset.\n`)
  }
  return [...found.filter(({ offset }) => offset >= 0n), ...(await offsetsAt(admin, none, OffsetSpec.LATEST))]
}

/** Offsets that a partition does not have become its first or its last. */
async function withinLog(admin: Admin, wanted: readonly Position[]): Promise<Position[]> {
  const starts = await offsetsAt(admin, wanted, OffsetSpec.EARLIEST)
  const ends = await offsetsAt(admin, wanted, OffsetSpec.LATEST)
  return wanted.map(({ topic, partition, offset }, index) => {
    const [start, end] = [starts[index].offset, ends[index].offset]
    const isAbove = offset > end
    const corrected = isAbove ? end : max(offset, start)
    if (corrected !== offset) {
      const how = isAbove ? 'higher than latest' : 'lower than earliest'
      process.stderr.write(
        `New offset (${offset}) is ${how} offset for topic partition ${topic}-${partition}. Value will be set to ${corrected}\n`,
      )
    }
    return { topic, partition, offset: corrected }
  })
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

// ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `topic,partition,offset`, with the group in front if there are several. */
export function toCsv(plan: Plan, withGroup: boolean): string {
  const cell = (value: string) => (/[",\s]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)
  return [...plan]
    .flatMap(([groupId, positions]) =>
      positions.map(
        ({ topic, partition, offset }) => `${withGroup ? `${cell(groupId)},` : ''}${cell(topic)},${partition},${offset}\n`,
      ),
    )
    .join('')
}

async function readPlan(path: string, groupIds: readonly string[]): Promise<Plan> {
  return parseCsv(await readFile(path, 'utf8'), groupIds)
}

/** Lines of three cells belong to the one group that is named. Throws UsageError for others than three or four. */
export function parseCsv(csv: string, groupIds: readonly string[]): Plan {
  const plan = new Map<string, Position[]>()
  for (const [index, line] of csv.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const cells = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
    )
    const [offset, partition, topic, groupId = groupIds[0]] = [...cells].reverse()
    const isNamed = cells.length === 4 || (cells.length === 3 && groupIds.length === 1)
    if (!isNamed || !/^\d+$/.test(partition) || !/^\d+$/.test(offset)) {
      throw new UsageError(
        `line ${index + 1} of the file: topic,partition,offset is meant, with the group in front for several groups`,
      )
    }
    const positions = plan.get(groupId) ?? []
    positions.push({ topic, partition: Number(partition), offset: BigInt(offset) })
    plan.set(groupId, positions)
  }
  return plan
}

async function filePositions(admin: Admin, groupId: string, plan: Plan): Promise<Position[]> {
  const positions = plan.get(groupId)
  if (positions === undefined) {
    process.stderr.write(`\nError: No reset plan for group ${groupId} found.\n`)
    process.exitCode = 1
    return []
  }
  await checkPartitions(admin, positions)
  return withinLog(admin, positions)
}

// ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function parseInteger(value: string, flag: string): bigint {
  if (!/^[+-]?\d+$/.test(value)) throw new UsageError(`${flag} ${value}: an integer is meant`)
  return BigInt(value)
}

/** Milliseconds since 1970. UTC, unless the time names its zone. */
export function parseDateTime(text: string): bigint {
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?)(Z|[+-]\d{2}:?\d{2})?$/.exec(text)
  const zone = match?.[2]?.replace(/^([+-]\d{2})(\d{2})$/, '$1:$2') ?? 'Z'
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}${zone}`)
  if (Number.isNaN(ms))
    throw new UsageError(`${text}: a time like 2026-01-31T12:00:00.000 or 2026-01-31T12:00:00.000+02:00 is meant`)
  return BigInt(ms)
}

const SECONDS = { D: 86_400, H: 3600, M: 60, S: 1 } as const

/** Milliseconds of an ISO 8601 duration in days, hours, minutes and seconds. */
export function parseDuration(text: string): bigint {
  const number = '([+-]?\\d+)'
  const match = new RegExp(
    `^([+-])?P(?:${number}D)?(?:T(?:${number}H)?(?:${number}M)?(?:([+-]?\\d+(?:\\.\\d{1,9})?)S)?)?$`,
    'i',
  ).exec(text)
  const [, sign, days, hours, minutes, seconds] = match ?? []
  if (match === null || (days ?? hours ?? minutes ?? seconds) === undefined || /T$/i.test(text)) {
    throw new UsageError(`${text}: a duration like P7D or PT1H30M is meant`)
  }
  const total =
    Number(days ?? 0) * SECONDS.D + Number(hours ?? 0) * SECONDS.H + Number(minutes ?? 0) * SECONDS.M + Number(seconds ?? 0)
  return BigInt(Math.trunc(total * 1000)) * (sign === '-' ? -1n : 1n)
}

// ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface DeletedOffset extends TopicPartition {
  readonly result: KafkaError | null
}

/** What the whole request met with, and each partition. A topic that is not there has the partition -1. */
export async function deleteOffsets(
  admin: Admin,
  groupId: string,
  topics: readonly string[],
): Promise<{ error: KafkaError | undefined; results: Map<string, DeletedOffset> }> {
  const results = new Map<string, DeletedOffset>()
  const whole = topics.filter((topic) => !topic.includes(':'))
  const partitions = topics.filter((topic) => topic.includes(':')).flatMap(parseTopicPartitions)
  if (whole.length > 0) {
    for (const [topic, described] of await admin.topics.describe(whole)) {
      if (described instanceof KafkaError) results.set(partitionKey(topic, -1), { topic, partition: -1, result: described })
      else partitions.push(...described.partitions.map(({ index }) => ({ topic, partition: index })))
    }
  }
  let error: KafkaError | undefined
  const deleted = await admin.groups.deleteOffsets(groupId, partitions).catch((reason) => {
    if (!(reason instanceof KafkaError)) throw reason
    error = reason
    return new Map<string, KafkaError | null>()
  })
  for (const { topic, partition } of partitions) {
    const name = partitionKey(topic, partition)
    results.set(name, { topic, partition, result: error ?? deleted.get(name) ?? null })
  }
  return { error, results }
}
