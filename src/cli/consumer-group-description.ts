// What kafka-consumer-groups --describe prints: positions with their lag, members, or states.

import type { GroupDescription, GroupMemberDescription } from '../client/admin/group-admin.ts'
import type { Admin } from '../client/admin.ts'
import { OffsetSpec } from '../client/list-offsets.ts'
import { partitionKey, type TopicPartition } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { byPartition } from './offset-reset.ts'
import { row, widest } from './table.ts'

const MISSING = '-'

/** Groups that are there, in the order of their ids. What is wrong with the others goes to standard error. */
async function describe(admin: Admin, groupIds: readonly string[]): Promise<GroupDescription[]> {
  const described = await admin.groups.describe(groupIds)
  const found: GroupDescription[] = []
  for (const groupId of [...groupIds].sort()) {
    const group = described.get(groupId)
    const isUnknown = group instanceof KafkaError && group.code === 'GROUP_ID_NOT_FOUND'
    if (group instanceof KafkaError && !isUnknown) throw group
    if (group === undefined || group instanceof KafkaError || group.state === 'Dead') {
      process.stderr.write(`\nError: Consumer group '${groupId}' does not exist.\n`)
      process.exitCode = 1
    } else found.push(group)
  }
  return found
}

/** Says what a reader of the table should know. */
function warn({ groupId, state }: GroupDescription): void {
  if (state === 'Empty') process.stderr.write(`\nConsumer group '${groupId}' has no active members.\n`)
  else if (state !== 'Stable') process.stderr.write(`\nWarning: Consumer group '${groupId}' is rebalancing.\n`)
}

export async function describeOffsets(admin: Admin, groupIds: readonly string[], verbose: boolean): Promise<void> {
  for (const group of await describe(admin, groupIds)) {
    const rows = await offsetRows(admin, group)
    warn(group)
    if (rows.length === 0) continue
    const columns = [
      'GROUP',
      'TOPIC',
      'PARTITION',
      'LEADER-EPOCH',
      'CURRENT-OFFSET',
      'LOG-END-OFFSET',
      'LAG',
      'CONSUMER-ID',
      'HOST',
      'CLIENT-ID',
    ]
    const table = [columns, ...rows]
    const minimum = [15, 15, 10, 15, 15, 15, 15, 15, 15, 0]
    const fixed = new Set([2, 3, 4, 5, 6, 9])
    const widths = minimum.map((width, column) =>
      fixed.has(column)
        ? width
        : widest(
            width,
            rows.map((cells) => cells[column]),
          ),
    )
    // Leader epochs are for those who ask for more.
    const shown = <T>(cells: readonly T[]) => (verbose ? cells : cells.filter((_, column) => column !== 3))
    for (const cells of table) process.stdout.write(`\n${row(shown(widths), shown(cells))}`)
    console.log()
  }
}

async function offsetRows(admin: Admin, group: GroupDescription): Promise<string[][]> {
  const committed = await admin.groups.offsets(group.groupId)
  const members = group.members.filter((member) => member.assignment.length > 0)
  members.sort((a, b) => b.assignment.length - a.assignment.length)
  const assigned = new Set(
    members.flatMap((member) => member.assignment.map(({ topic, partition }) => partitionKey(topic, partition))),
  )
  const unassigned = [...committed.values()].filter(({ topic, partition }) => !assigned.has(partitionKey(topic, partition)))
  const ends = await logEndOffsets(admin, [...members.flatMap((member) => member.assignment), ...unassigned])

  const rowsOf = (partitions: readonly TopicPartition[], member: GroupMemberDescription | undefined) =>
    [...partitions].sort(byPartition).map(({ topic, partition }) => {
      const position = committed.get(partitionKey(topic, partition))
      const end = ends.get(partitionKey(topic, partition))
      const lag = position === undefined || end === undefined ? undefined : end - position.offset
      return [
        group.groupId,
        topic,
        String(partition),
        position === undefined || position.leaderEpoch < 0 ? MISSING : String(position.leaderEpoch),
        String(position?.offset ?? MISSING),
        String(end ?? MISSING),
        String(lag ?? MISSING),
        member?.memberId ?? MISSING,
        member?.host ?? MISSING,
        member?.clientId ?? MISSING,
      ]
    })
  return [...members.flatMap((member) => rowsOf(member.assignment, member)), ...rowsOf(unassigned, undefined)]
}

/** Partitions that are gone, or without a leader, are left out. */
async function logEndOffsets(admin: Admin, partitions: readonly TopicPartition[]): Promise<Map<string, bigint>> {
  const topics = new Map((await admin.topics.list()).map((topic) => [topic.name, topic]))
  const there = partitions.filter(({ topic, partition }) => (topics.get(topic)?.partitions[partition]?.leaderId ?? -1) >= 0)
  const offsets = await admin.topics.offsets(there.map((partition) => ({ ...partition, timestamp: OffsetSpec.LATEST })))
  const ends = new Map<string, bigint>()
  for (const [name, result] of offsets) if (!(result instanceof KafkaError)) ends.set(name, result.offset)
  return ends
}

export async function describeMembers(admin: Admin, groupIds: readonly string[], verbose: boolean): Promise<void> {
  for (const group of await describe(admin, groupIds)) {
    warn(group)
    const { members, groupId } = group
    const withInstanceIds = members.some((member) => member.groupInstanceId !== null)
    const columns = (cells: string[]) => (withInstanceIds ? cells : cells.filter((_, index) => index !== 2))
    const rows = members.map((member) => [
      groupId,
      member.memberId,
      member.groupInstanceId ?? '',
      member.host,
      member.clientId,
      String(member.assignment.length),
      // Epochs and targets are for groups of the newer protocol (KIP-848).
      ...(verbose
        ? [MISSING, member.assignment.length === 0 ? MISSING : assignmentText(member.assignment), MISSING, MISSING]
        : []),
    ])
    const widest15 = (column: number, atLeast = 15) =>
      widest(
        atLeast,
        rows.map((cells) => cells[column]),
      )
    const widths = [widest15(0), widest15(1), widest15(2, 17), widest15(3), widest15(4), 15]
    if (verbose) widths.push(15, widest15(7, 20), 15, 20)
    const shownWidths = withInstanceIds ? widths : widths.filter((_, index) => index !== 2)
    const header = ['GROUP', 'CONSUMER-ID', 'GROUP-INSTANCE-ID', 'HOST', 'CLIENT-ID', '#PARTITIONS']
    if (verbose) header.push('CURRENT-EPOCH', 'CURRENT-ASSIGNMENT', 'TARGET-EPOCH', 'TARGET-ASSIGNMENT')
    // Kafka's table has a blank behind the number of partitions, too.
    const end = verbose ? '' : ' '
    process.stdout.write(`\n${row(shownWidths, columns(header))}${end}\n`)
    for (const cells of rows) process.stdout.write(`${row(shownWidths, columns(cells))}${end}\n`)
  }
}

/** `topic:0,1;other:2`. */
function assignmentText(assignment: readonly TopicPartition[]): string {
  const byTopic = Map.groupBy([...assignment].sort(byPartition), ({ topic }) => topic)
  return [...byTopic].map(([topic, of]) => `${topic}:${of.map(({ partition }) => partition).join()}`).join(';')
}

export async function describeStates(admin: Admin, groupIds: readonly string[], verbose: boolean): Promise<void> {
  for (const group of await describe(admin, groupIds)) {
    warn(group)
    const { host, port, nodeId } = group.coordinator
    const coordinator = `${host}:${port}  (${nodeId})`
    const assignor = group.assignor === '' ? MISSING : group.assignor
    const epochs = verbose ? [15, 25] : []
    const widths = [Math.max(15, group.groupId.length), Math.max(25, coordinator.length), 20, 20, ...epochs, 0]
    const epochHeader = verbose ? ['GROUP-EPOCH', 'TARGET-ASSIGNMENT-EPOCH'] : []
    const header = ['GROUP', 'COORDINATOR (ID)', 'ASSIGNMENT-STRATEGY', 'STATE', ...epochHeader, '#MEMBERS']
    const cells = [
      group.groupId,
      coordinator,
      assignor,
      group.state,
      ...(verbose ? [MISSING, MISSING] : []),
      String(group.members.length),
    ]
    process.stdout.write(`\n${row(widths, header)}\n${row(widths, cells)}\n`)
  }
}
