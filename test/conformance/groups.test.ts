// Section F of Kafka's subtleties, where it shows on the wire: how requests of old and new versions map onto one group. What the
// state machine does with them is tested in src/coordinators.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { encodeSubscription } from '../../src/protocol/consumer-protocol.ts'
import { ZERO_UUID } from '../../src/protocol/ids.ts'
import { OffsetCommit } from '../../src/protocol/messages/08-offset-commit.ts'
import { OffsetFetch } from '../../src/protocol/messages/09-offset-fetch.ts'
import { FindCoordinator } from '../../src/protocol/messages/10-find-coordinator.ts'
import { JoinGroup } from '../../src/protocol/messages/11-join-group.ts'
import { Heartbeat } from '../../src/protocol/messages/12-heartbeat.ts'
import { LeaveGroup } from '../../src/protocol/messages/13-leave-group.ts'
import { SyncGroup } from '../../src/protocol/messages/14-sync-group.ts'
import { DescribeGroups } from '../../src/protocol/messages/15-describe-groups.ts'
import { ListGroups } from '../../src/protocol/messages/16-list-groups.ts'
import { DeleteTopics } from '../../src/protocol/messages/20-delete-topics.ts'
import { DeleteGroups } from '../../src/protocol/messages/42-delete-groups.ts'
import { OffsetDelete } from '../../src/protocol/messages/47-offset-delete.ts'
import type { RequestInput } from '../../src/protocol/schema.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  coordinatorReady,
  createTopic,
  fetchFrom,
  metadataOf,
  recordsIn,
  type Topic,
  uniqueName,
} from './requests.ts'

let broker: BrokerUnderTest
let client: RawClient
before(async () => {
  broker = await startBrokerUnderTest()
  client = await RawClient.connect(broker.bootstrapServers)
})
after(async () => {
  client?.close()
  await broker?.close()
})

const connect = () => RawClient.connect(broker.bootstrapServers)

async function newGroup(): Promise<string> {
  const groupId = uniqueName('group')
  await coordinatorReady(client, groupId)
  return groupId
}

// ── members ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A real one: any eight bytes in its place can make Kafka allocate gigabytes. */
const METADATA = encodeSubscription({ topics: ['some-topic'] })

type JoinBody = RequestInput<typeof JoinGroup>

function joinRequest(groupId: string, options: Partial<JoinBody> = {}): JoinBody {
  return {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: METADATA }],
    ...options,
  }
}

function join(groupId: string, options: Partial<JoinBody> = {}, version = 5, via = client) {
  return via.request(JoinGroup, version, joinRequest(groupId, options))
}

interface Member {
  readonly groupId: string
  readonly memberId: string
  readonly generationId: number
}

/** The only member of a group, stable, with an assignment. */
async function soleMember(options: Partial<JoinBody> = {}): Promise<Member> {
  const groupId = await newGroup()
  const joined = await join(groupId, options, 3)
  assertError(joined.errorCode, 'NONE')
  const { memberId, generationId } = joined
  const assignments = [{ memberId, assignment: Buffer.from('assignment') }]
  assertError((await client.request(SyncGroup, 3, { groupId, memberId, generationId, assignments })).errorCode, 'NONE')
  return { groupId, memberId, generationId }
}

async function describeGroup(groupId: string, version = 5) {
  return (await client.request(DescribeGroups, version, { groups: [groupId] })).groups[0]!
}

test('FindCoordinator answers in all versions: one key up to 3, many from 4 on', async () => {
  // 76
  const groupId = await newGroup()
  const { brokers } = await metadataOf(client, [])
  const { nodeId, host, port } = brokers[0]!
  for (const version of [0, 1, 2, 3]) {
    const found = await client.request(FindCoordinator, version, { key: groupId, keyType: 0 })
    assert.deepEqual([found.errorCode, found.nodeId, found.host, found.port], [0, nodeId, host, port])
  }
  for (const version of [4, 5, 6]) {
    const { coordinators } = await client.request(FindCoordinator, version, { keyType: 0, coordinatorKeys: [groupId, 'another'] })
    const keys = coordinators.map(({ key }) => key)
    assert.deepEqual(keys.sort(), [groupId, 'another'].sort())
    for (const found of coordinators) assert.deepEqual([found.errorCode, found.nodeId, found.port], [0, nodeId, port])
  }
})

test('groups are spread over 50 partitions by the hash that Java gives their id', async () => {
  // 76, 92
  const topic = await createTopic(client)
  // String.hashCode overflows; "polygenelubricants" has the one number without a positive counterpart, which goes to partition 0.
  for (const [groupId, partition] of [
    ['my-group', hashPartition('my-group')],
    ['polygenelubricants', 0],
    ['čeština 🦆', hashPartition('čeština 🦆')],
  ] as const) {
    await coordinatorReady(client, groupId)
    const offsets: Topic = { name: '__consumer_offsets', id: ZERO_UUID }
    const end = async () => (await fetchFrom(client, offsets, 0n, { partition })).highWatermark
    const before = await eventually(async () => {
      const at = await end()
      return at >= 0n && at
    })
    await eventually(async () => (await commit(groupId, topic, 5n)) === 0)
    assert.equal(await end(), before + 1n, `${groupId} in partition ${partition}`)
    const [record] = recordsIn((await fetchFrom(client, offsets, before, { partition })).records).slice(-1)
    const key = record!.key!
    assert.equal(key.readInt16BE(0), 1, 'the key of an offset')
    assert.equal(key.subarray(4, 4 + key.readInt16BE(2)).toString(), groupId)
  }
})

function hashPartition(id: string): number {
  let hash = 0
  for (let i = 0; i < id.length; i++) hash = (Math.imul(hash, 31) + id.charCodeAt(i)) | 0
  return Math.abs(hash) % 50
}

test('from version 4 on a new member is sent back once with the id that it must join with; before, it is in at once', async () => {
  // 77
  for (const version of [4, 5, 6, 9]) {
    const groupId = await newGroup()
    const first = await join(groupId, {}, version)
    assertError(first.errorCode, 'MEMBER_ID_REQUIRED')
    assert.match(first.memberId, /^conformance-[0-9a-f]{8}-/)
    const second = await join(groupId, { memberId: first.memberId }, version)
    assertError(second.errorCode, 'NONE')
    assert.equal(second.memberId, first.memberId)
    assert.equal(second.leader, first.memberId)
  }
  for (const version of [0, 1, 2, 3]) {
    const joined = await join(await newGroup(), {}, version)
    assertError(joined.errorCode, 'NONE')
    assert.match(joined.memberId, /^conformance-[0-9a-f]{8}-/)
  }
})

test('a static member is in at once in every version that has them, under an id made of its instance id', async () => {
  // 77
  for (const version of [5, 6, 7, 8, 9]) {
    const joined = await join(await newGroup(), { groupInstanceId: 'instance-1' }, version)
    assertError(joined.errorCode, 'NONE')
    assert.match(joined.memberId, /^instance-1-[0-9a-f]{8}-/)
    assert.equal(joined.members[0]!.groupInstanceId, 'instance-1')
  }
})

test('JoinGroup refuses unknown members, session time-outs out of bounds, protocols that nobody shares and groups without a name', async () => {
  // 78
  const { groupId } = await soleMember()
  const cases: readonly [what: string, group: string, options: Partial<JoinBody>, error: string][] = [
    ['unknown member', groupId, { memberId: 'nobody' }, 'UNKNOWN_MEMBER_ID'],
    ['too short a session', groupId, { sessionTimeoutMs: 10 }, 'INVALID_SESSION_TIMEOUT'],
    ['too long a session', groupId, { sessionTimeoutMs: 0x7fffffff }, 'INVALID_SESSION_TIMEOUT'],
    ['another type', groupId, { protocolType: 'connect' }, 'INCONSISTENT_GROUP_PROTOCOL'],
    ['no type', await newGroup(), { protocolType: '' }, 'INCONSISTENT_GROUP_PROTOCOL'],
    ['no protocols', await newGroup(), { protocols: [] }, 'INCONSISTENT_GROUP_PROTOCOL'],
    ['another protocol', groupId, { protocols: [{ name: 'other', metadata: Buffer.alloc(0) }] }, 'INCONSISTENT_GROUP_PROTOCOL'],
    ['no name', '', {}, 'INVALID_GROUP_ID'],
  ]
  for (const [what, group, options, error] of cases) assertError((await join(group, options, 3)).errorCode, error, what)
})

test('a join waits for all members, and only the leader is told who they are', async () => {
  // 79, 81, 85
  using second = await connect()
  const { groupId, memberId, generationId } = await soleMember()
  const joining = second.send(JoinGroup, 3, joinRequest(groupId))
  await eventually(async () => (await describeGroup(groupId)).groupState === 'PreparingRebalance')
  const beat = await client.request(Heartbeat, 3, { groupId, generationId, memberId })
  assertError(beat.errorCode, 'REBALANCE_IN_PROGRESS')
  const leader = await join(groupId, { memberId }, 3)
  const follower = await second.answer(joining)
  assert.deepEqual([leader.generationId, follower.generationId], [generationId + 1, generationId + 1])
  assert.deepEqual(leader.members.map((member) => member.memberId).sort(), [memberId, follower.memberId].sort())
  assert.deepEqual(follower.members, [])
  assert.equal(follower.leader, memberId)

  // 84: the follower waits for the leader's word; one who is not in it gets nothing.
  const syncRequest = { groupId, generationId: leader.generationId }
  const syncing = second.send(SyncGroup, 3, { ...syncRequest, memberId: follower.memberId, assignments: [] })
  const assignments = [{ memberId, assignment: Buffer.from('everything') }]
  const own = await client.request(SyncGroup, 3, { ...syncRequest, memberId, assignments })
  assert.equal(own.assignment.toString(), 'everything')
  assert.equal((await second.answer(syncing)).assignment.length, 0)
})

test('a failed join says the protocol name as "" before version 7 and as null from then on', async () => {
  // 82
  for (const version of [2, 5, 6, 7, 9]) {
    const { protocolName } = await join(await newGroup(), { memberId: 'nobody' }, version)
    assert.equal(protocolName, version < 7 ? '' : null)
  }
  const joined = await join(await newGroup(), { groupInstanceId: 'i' }, 7)
  assert.deepEqual([joined.protocolType, joined.protocolName], ['consumer', 'range'])
})

test('a static member that comes back takes its place without a rebalance, and its former self is fenced', async () => {
  // 83
  const groupId = await newGroup()
  const options = { groupInstanceId: 'instance-1' }
  const first = await join(groupId, options, 9)
  const { generationId } = first
  const sync = (memberId: string) => ({
    groupId,
    generationId,
    memberId,
    groupInstanceId: 'instance-1',
    protocolType: 'consumer',
    protocolName: 'range',
  })
  const assignments = [{ memberId: first.memberId, assignment: Buffer.from('mine') }]
  assertError((await client.request(SyncGroup, 5, { ...sync(first.memberId), assignments })).errorCode, 'NONE')

  const again = await join(groupId, options, 9)
  assertError(again.errorCode, 'NONE')
  assert.notEqual(again.memberId, first.memberId)
  assert.equal(again.generationId, generationId)
  assert.equal(again.skipAssignment, true)
  const kept = await client.request(SyncGroup, 5, { ...sync(again.memberId), assignments: [] })
  assert.equal(kept.assignment.toString(), 'mine')
  const beat = { groupId, generationId, groupInstanceId: 'instance-1' }
  assertError((await client.request(Heartbeat, 4, { ...beat, memberId: first.memberId })).errorCode, 'FENCED_INSTANCE_ID')
  assertError((await client.request(Heartbeat, 4, { ...beat, memberId: again.memberId })).errorCode, 'NONE')
})

test('SyncGroup 5 checks that all mean the same protocol, and answers it', async () => {
  // 84
  const { groupId, memberId, generationId } = await soleMember()
  const sync = (protocolType: string | null, protocolName: string | null, generation = generationId) =>
    client.request(SyncGroup, 5, { groupId, generationId: generation, memberId, protocolType, protocolName, assignments: [] })
  const good = await sync('consumer', 'range')
  assert.deepEqual([good.errorCode, good.protocolType, good.protocolName], [0, 'consumer', 'range'])
  assert.equal(good.assignment.toString(), 'assignment')
  assertError((await sync('consumer', 'roundrobin')).errorCode, 'INCONSISTENT_GROUP_PROTOCOL')
  assertError((await sync('connect', 'range')).errorCode, 'INCONSISTENT_GROUP_PROTOCOL')
  assertError((await sync('consumer', 'range', generationId + 1)).errorCode, 'ILLEGAL_GENERATION')
})

test('a heartbeat from an unknown member, group or generation says which it is', async () => {
  // 85
  const { groupId, memberId, generationId } = await soleMember()
  for (const version of [0, 1, 2, 3, 4]) {
    const beat = async (member: string, generation: number, group = groupId) =>
      (await client.request(Heartbeat, version, { groupId: group, generationId: generation, memberId: member })).errorCode
    assertError(await beat(memberId, generationId), 'NONE')
    assertError(await beat(memberId, generationId - 1), 'ILLEGAL_GENERATION')
    assertError(await beat('nobody', generationId), 'UNKNOWN_MEMBER_ID')
    assertError(await beat(memberId, generationId, uniqueName('never')), 'UNKNOWN_MEMBER_ID')
  }
})

test('LeaveGroup has one code up to version 2 and one for each member from 3 on, found by id or by instance', async () => {
  // 86
  for (const version of [0, 1, 2]) {
    const { groupId, memberId } = await soleMember()
    assertError(
      (await client.request(LeaveGroup, version, { groupId, memberId: 'nobody', members: [] })).errorCode,
      'UNKNOWN_MEMBER_ID',
    )
    assertError((await client.request(LeaveGroup, version, { groupId, memberId, members: [] })).errorCode, 'NONE')
    assert.equal((await describeGroup(groupId)).groupState, 'Empty')
  }
  for (const version of [3, 4, 5]) {
    const groupId = await newGroup()
    const { memberId } = await join(groupId, { groupInstanceId: 'instance-1' }, 5)
    const leaving = [
      { memberId: 'nobody', groupInstanceId: null },
      { memberId: '', groupInstanceId: 'instance-1' },
      { memberId: '', groupInstanceId: 'instance-2' },
    ]
    const left = await client.request(LeaveGroup, version, { groupId, memberId, members: leaving })
    assertError(left.errorCode, 'NONE')
    assert.deepEqual(
      left.members.map((member) => [member.groupInstanceId, member.errorCode]),
      [
        [null, 25],
        ['instance-1', 0],
        ['instance-2', 25],
      ],
    )
  }
})

// ── offsets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface CommitOptions {
  readonly version?: number
  readonly memberId?: string
  readonly generation?: number
  readonly metadata?: string | null
  readonly leaderEpoch?: number
  readonly partition?: number
}

async function commit(groupId: string, topic: Topic, committedOffset: bigint, options: CommitOptions = {}): Promise<number> {
  const { version = 7, memberId = '', generation = -1, metadata = '', leaderEpoch = -1, partition = 0 } = options
  const partitions = [
    { partitionIndex: partition, committedOffset, committedLeaderEpoch: leaderEpoch, committedMetadata: metadata },
  ]
  const topics = [{ name: topic.name, topicId: topic.id, partitions }]
  const request = { groupId, memberId, generationIdOrMemberEpoch: generation, topics }
  return (await client.request(OffsetCommit, version, request)).topics[0]!.partitions[0]!.errorCode
}

/** Of one group, in whatever shape the version has for it. Null asks for all topics. */
async function committed(groupId: string, topics: readonly Topic[] | null, version: number, partitionIndexes = [0]) {
  const named = topics?.map(({ name, id }) => ({ name, topicId: id, partitionIndexes })) ?? null
  const answer = await client.request(OffsetFetch, version, {
    groupId,
    topics: named ?? null,
    groups: [{ groupId, topics: named }],
  })
  if (version < 8)
    return { errorCode: answer.errorCode, topics: answer.topics.map((topic) => ({ ...topic, topicId: ZERO_UUID })) }
  assert.equal(answer.groups.length, 1)
  assert.equal(answer.groups[0]!.groupId, groupId)
  return answer.groups[0]!
}

test('a commit without a group generation is that of a simple consumer: accepted, and it makes the group', async () => {
  // 87
  const topic = await createTopic(client)
  for (const version of [2, 3, 4, 5, 6, 7, 8, 9, 10]) {
    const groupId = await newGroup()
    assertError(await commit(groupId, topic, 7n, { version, metadata: `v${version}`, leaderEpoch: 0 }), 'NONE')
    const [found] = (await committed(groupId, [topic], 5)).topics[0]!.partitions
    assert.deepEqual([found!.committedOffset, found!.metadata], [7n, `v${version}`])
    assert.equal(found!.committedLeaderEpoch, version >= 6 ? 0 : -1)
    assert.equal((await describeGroup(groupId)).groupState, 'Empty')
  }
})

test('a commit must fit the group that it is for', async () => {
  // 87
  const topic = await createTopic(client)
  const { groupId, memberId, generationId } = await soleMember()
  assertError(await commit(groupId, topic, 1n), 'UNKNOWN_MEMBER_ID')
  assertError(await commit(groupId, topic, 1n, { memberId, generation: generationId + 1 }), 'ILLEGAL_GENERATION')
  assertError(await commit(groupId, topic, 1n, { memberId, generation: generationId }), 'NONE')
  assertError(await commit(await newGroup(), topic, 1n, { memberId, generation: 5 }), 'ILLEGAL_GENERATION')
  assertError(await commit(await newGroup(), topic, 1n, { memberId, generation: 5, version: 9 }), 'GROUP_ID_NOT_FOUND')
})

test('a commit for what does not exist, and one with too much metadata, are refused on their own', async () => {
  // 87
  const topic = await createTopic(client)
  const groupId = await newGroup()
  const missing = { name: 'never-created', id: 'AAAAAAAAAAAAAAAAAAAAEQ' }
  assertError(await commit(groupId, missing, 1n), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await commit(groupId, missing, 1n, { version: 10 }), 'UNKNOWN_TOPIC_ID')
  assertError(await commit(groupId, topic, 1n, { partition: 5 }), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await commit(groupId, topic, 1n, { metadata: 'x'.repeat(4097) }), 'OFFSET_METADATA_TOO_LARGE')
  assertError(await commit(groupId, topic, 1n, { metadata: 'x'.repeat(4096) }), 'NONE')
  assertError(await commit(groupId, topic, 1n, { metadata: null }), 'NONE')
})

test('nothing committed is offset -1 without an error, whether group, topic or partition are known or not', async () => {
  // 88
  const topic = await createTopic(client)
  const groupId = await newGroup()
  assertError(await commit(groupId, topic, 5n), 'NONE')
  const missing = { name: 'never-created', id: 'AAAAAAAAAAAAAAAAAAAAEQ' }
  for (const version of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
    const asked: [group: string, topic: Topic, partition: number][] = [
      [await newGroup(), topic, 0],
      [groupId, topic, 3],
    ]
    if (version < 10) asked.push([groupId, missing, 0])
    for (const [group, of, partition] of asked) {
      const { errorCode, topics } = await committed(group, [of], version, [partition])
      assertError(errorCode, 'NONE')
      const [found] = topics[0]!.partitions
      assert.deepEqual(
        [found!.partitionIndex, found!.committedOffset, found!.metadata, found!.errorCode],
        [partition, -1n, '', 0],
      )
    }
  }
  assertError((await committed(groupId, [missing], 10)).topics[0]!.partitions[0]!.errorCode, 'UNKNOWN_TOPIC_ID')
})

test('null topics ask for every commit of the group, an empty list for none', async () => {
  // 88
  const topics = [await createTopic(client), await createTopic(client)]
  const groupId = await newGroup()
  for (const topic of topics) assertError(await commit(groupId, topic, 5n), 'NONE')
  for (const version of [2, 5, 7, 8, 9, 10]) {
    const all = (await committed(groupId, null, version)).topics
    const by = version === 10 ? ('topicId' as const) : ('name' as const)
    const expected = topics.map((topic) => (by === 'topicId' ? topic.id : topic.name))
    assert.deepEqual(all.map((topic) => topic[by]).sort(), expected.sort())
    assert.deepEqual((await committed(groupId, [], version)).topics, [])
  }
})

test('from version 8 on many groups are asked for at once, each with its own answer', async () => {
  // 88
  const topic = await createTopic(client)
  const groups = [await newGroup(), await newGroup(), await newGroup()]
  await commit(groups[0]!, topic, 1n)
  await commit(groups[2]!, topic, 3n)
  const topics = [{ name: topic.name, topicId: topic.id, partitionIndexes: [0] }]
  for (const version of [8, 9, 10]) {
    const request = { groups: groups.map((groupId) => ({ groupId, topics })) }
    const answered = (await client.request(OffsetFetch, version, request)).groups
    const offsets = new Map(answered.map((group) => [group.groupId, group.topics[0]!.partitions[0]!.committedOffset]))
    assert.deepEqual(
      groups.map((groupId) => offsets.get(groupId)),
      [1n, -1n, 3n],
    )
  }
})

test('the offsets of a topic go with it', async () => {
  // 69
  const topic = await createTopic(client)
  const groupId = await newGroup()
  assertError(await commit(groupId, topic, 5n), 'NONE')
  await client.request(DeleteTopics, 3, { topicNames: [topic.name], timeoutMs: 10_000 })
  await eventually(async () => (await committed(groupId, [topic], 7)).topics[0]!.partitions[0]!.committedOffset === -1n)
})

// ── what operators ask ──────────────────────────────────────────────────────────────────────────────────────────────

test('DescribeGroups shows members with a slash before their host, their metadata only while the group is stable', async () => {
  // 90
  const { groupId, memberId } = await soleMember()
  for (const version of [0, 1, 2, 3, 4, 5, 6]) {
    const group = await describeGroup(groupId, version)
    assert.deepEqual(
      [group.errorCode, group.groupState, group.protocolType, group.protocolData],
      [0, 'Stable', 'consumer', 'range'],
    )
    const [member] = group.members
    assert.deepEqual([member!.memberId, member!.clientId], [memberId, 'conformance'])
    assert.match(member!.clientHost, /^\/(127\.0\.0\.1|::1)$/)
    assert.ok(member!.memberMetadata.equals(METADATA))
    assert.equal(member!.memberAssignment.toString(), 'assignment')
  }
  const { memberId: other } = await join(groupId, { memberId }, 3)
  assert.equal(other, memberId)
  const group = await describeGroup(groupId)
  assert.equal(group.groupState, 'CompletingRebalance')
  assert.equal(group.members[0]!.memberMetadata.length, 0)
})

test('a group that nobody knows is Dead without an error, and from version 6 on GROUP_ID_NOT_FOUND', async () => {
  // 90
  const groupId = await newGroup()
  for (const version of [0, 5, 6]) {
    const group = await describeGroup(groupId, version)
    assertError(group.errorCode, version < 6 ? 'NONE' : 'GROUP_ID_NOT_FOUND')
    assert.deepEqual([group.groupState, group.members.length], ['Dead', 0])
  }
})

test('ListGroups filters by state from version 4 on and by type from 5 on', async () => {
  // 90
  const { groupId } = await soleMember()
  const list = async (version: number, statesFilter: string[] = [], typesFilter: string[] = []) => {
    const { errorCode, groups } = await client.request(ListGroups, version, { statesFilter, typesFilter })
    assertError(errorCode, 'NONE')
    return groups.find((group) => group.groupId === groupId)
  }
  for (const version of [0, 1, 2, 3]) assert.equal((await list(version))?.protocolType, 'consumer')
  assert.equal((await list(4))?.groupState, 'Stable')
  assert.equal((await list(4, ['Stable', 'Empty']))?.groupState, 'Stable')
  assert.equal(await list(4, ['Empty']), undefined)
  assert.equal((await list(5))?.groupType, 'classic')
  assert.equal((await list(5, [], ['classic']))?.groupId, groupId)
  assert.equal(await list(5, [], ['consumer']), undefined)
})

test('DeleteGroups takes only groups without members', async () => {
  // 91
  const { groupId, memberId } = await soleMember()
  const remove = async (group: string, version = 2) =>
    (await client.request(DeleteGroups, version, { groupsNames: [group] })).results[0]!.errorCode
  assertError(await remove(groupId), 'NON_EMPTY_GROUP')
  assertError(await remove(await newGroup()), 'GROUP_ID_NOT_FOUND')
  await client.request(LeaveGroup, 1, { groupId, memberId, members: [] })
  assertError(await remove(groupId, 1), 'NONE')
  assert.equal((await describeGroup(groupId)).groupState, 'Dead')
})

test('OffsetDelete spares the topics that the group is subscribed to', async () => {
  // 91
  const [subscribed, other] = [await createTopic(client), await createTopic(client)]
  const metadata = encodeSubscription({ topics: [subscribed.name], ownedPartitions: [] }, 1)
  const { groupId, memberId, generationId } = await soleMember({ protocols: [{ name: 'range', metadata }] })
  for (const topic of [subscribed, other]) {
    assertError(await commit(groupId, topic, 5n, { memberId, generation: generationId }), 'NONE')
  }
  const topics = [subscribed, other].map(({ name }) => ({ name, partitions: [{ partitionIndex: 0 }] }))
  const answer = await client.request(OffsetDelete, 0, { groupId, topics })
  assertError(answer.errorCode, 'NONE')
  const codes = new Map(answer.topics.map((topic) => [topic.name, topic.partitions[0]!.errorCode]))
  assertError(codes.get(subscribed.name)!, 'GROUP_SUBSCRIBED_TO_TOPIC')
  assertError(codes.get(other.name)!, 'NONE')
  assertError((await client.request(OffsetDelete, 0, { groupId: await newGroup(), topics })).errorCode, 'GROUP_ID_NOT_FOUND')
})
