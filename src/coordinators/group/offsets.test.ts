// Commits, fetches and deletions of offsets.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeGroupRecord } from '../../protocol/internal-records/group-records.ts'
import { deleteOffsets, dropTopicOffsets } from './delete-offsets.ts'
import { fetchOffsets } from './fetch-offsets.ts'
import { errorOf, GROUP, protocols, Workbench } from './workbench.ts'

const old = { requiresKnownMemberId: false }

test('a client that uses no group management commits without a member, and makes the group', () => {
  const bench = new Workbench()
  assert.equal(bench.commit('t', 5n), 'NONE')
  assert.equal(bench.committed('t'), 5n)
  assert.equal(bench.group.state, 'Empty')
  assert.equal(bench.group.protocolType, null)
})

test('a commit without a member is refused as soon as the group has some', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  assert.equal(bench.commit('t', 5n), 'UNKNOWN_MEMBER_ID')
  bench.leave({ memberId: a })
  assert.equal(bench.commit('t', 5n), 'NONE')
})

test('a member commits in its generation, and in no other', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  assert.equal(bench.commit('t', 5n, { memberId: a, generationId: 1 }), 'NONE')
  assert.equal(bench.commit('t', 6n, { memberId: a, generationId: 0 }), 'ILLEGAL_GENERATION')
  assert.equal(bench.commit('t', 6n, { memberId: a, generationId: -1 }), 'ILLEGAL_GENERATION')
  assert.equal(bench.commit('t', 6n, { memberId: 'nobody', generationId: 1 }), 'UNKNOWN_MEMBER_ID')
  assert.equal(bench.committed('t'), 5n)
})

test('members that are called to rejoin may still commit, those who wait for the leader may not', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  assert.equal(bench.commit('t', 5n, { memberId: b, generationId: 1 }), 'NONE')
  bench.join('b again', { memberId: b })
  assert.equal(bench.commit('t', 6n, { memberId: b, generationId: 2 }), 'REBALANCE_IN_PROGRESS')
})

test('a commit with a generation to a group that is not there is told so in words that its version knows', () => {
  const bench = new Workbench()
  assert.equal(bench.commit('t', 5n, { memberId: 'a', generationId: 1, version: 8 }), 'ILLEGAL_GENERATION')
  assert.equal(bench.commit('t', 5n, { memberId: 'a', generationId: 1, version: 9 }), 'GROUP_ID_NOT_FOUND')
  assert.equal(bench.groups.get(GROUP), undefined)
})

test('metadata is stored up to its limit, counted in characters', () => {
  const bench = new Workbench({ offsetMetadataMaxBytes: 4 })
  assert.equal(bench.commit('t', 5n, { metadata: 'žluť' }), 'NONE')
  assert.equal(bench.commit('t', 6n, { metadata: 'žluťo' }), 'OFFSET_METADATA_TOO_LARGE')
  assert.equal(bench.groups.offsets.get(GROUP, 't', 0)?.metadata, 'žluť')
})

test('offset, leader epoch and metadata come back as they were committed', () => {
  const bench = new Workbench()
  bench.commit('t', 5n, { metadata: 'note' })
  const request = { groupId: GROUP, topics: [{ name: 't', partitionIndexes: [0] }] }
  assert.deepEqual(bench.take(fetchOffsets(bench.groups, request)).topics, [
    {
      name: 't',
      partitions: [{ partitionIndex: 0, committedOffset: 5n, committedLeaderEpoch: 7, metadata: 'note', errorCode: 0 }],
    },
  ])
})

test('nothing committed is offset -1 without an error: for a partition, a topic, or a whole group', () => {
  const bench = new Workbench()
  const none = { committedOffset: -1n, committedLeaderEpoch: -1, metadata: '', errorCode: 0 }
  const request = { groupId: GROUP, topics: [{ name: 't', partitionIndexes: [0, 7] }] }
  const unknown = bench.take(fetchOffsets(bench.groups, request))
  assert.equal(unknown.errorCode, 0)
  assert.deepEqual(unknown.topics, [
    {
      name: 't',
      partitions: [
        { partitionIndex: 0, ...none },
        { partitionIndex: 7, ...none },
      ],
    },
  ])
  bench.commit('t', 5n)
  assert.deepEqual(bench.take(fetchOffsets(bench.groups, request)).topics[0].partitions[1], { partitionIndex: 7, ...none })
})

test('no list of topics asks for every commit, an empty list for none', () => {
  const bench = new Workbench()
  bench.commit('t', 5n)
  bench.commit('u', 6n)
  const all = bench.take(fetchOffsets(bench.groups, { groupId: GROUP, topics: null }))
  assert.deepEqual(
    all.topics.map(({ name, partitions }) => [name, partitions[0].committedOffset]),
    [
      ['t', 5n],
      ['u', 6n],
    ],
  )
  assert.deepEqual(bench.take(fetchOffsets(bench.groups, { groupId: GROUP, topics: [] })).topics, [])
  assert.deepEqual(bench.take(fetchOffsets(bench.groups, { groupId: 'nobody', topics: null })).topics, [])
})

test('offsets are stored in the form that Kafka reads: version 3, 1 with an expiry of their own, 4 with a topic id', () => {
  const versionOf = (bench: Workbench) => bench.log.at(-1)!.value!.readInt16BE(0)
  const bench = new Workbench()
  bench.commit('t', 5n)
  assert.equal(bench.log[0].key.toString('hex'), '0001' + '000167' + '000174' + '00000000')
  assert.equal(versionOf(bench), 3)
  bench.commit('t', 5n, { retentionTimeMs: 1_000n })
  assert.equal(versionOf(bench), 1)
  const withIds = new Workbench({}, () => 'AAAAAAAAAAAAAAAAAAAAAQ')
  withIds.commit('t', 5n)
  assert.equal(versionOf(withIds), 4)
})

test('a generation is stored in version 3, and read back whole', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  const { key, value } = bench.log.at(-1)!
  assert.equal(value!.readInt16BE(0), 3)
  const record = decodeGroupRecord(key, value)
  assert.equal(record?.type, 'GroupMetadata')
  assert.deepEqual(record.value?.members, [
    {
      memberId: a,
      groupInstanceId: null,
      clientId: 'a',
      clientHost: '/10.0.0.1',
      rebalanceTimeout: 60_000,
      sessionTimeout: 10_000,
      subscription: protocols('range')[0].metadata,
      assignment: Buffer.from(a),
    },
  ])
})

test('offsets of a topic that was deleted and made again are not those of the new one', () => {
  let id = 'AAAAAAAAAAAAAAAAAAAAAQ'
  const bench = new Workbench({}, () => id)
  bench.commit('t', 5n)
  assert.equal(bench.committed('t'), 5n)
  id = 'AAAAAAAAAAAAAAAAAAAAAg'
  assert.equal(bench.committed('t'), -1n)
  assert.deepEqual(bench.take(fetchOffsets(bench.groups, { groupId: GROUP, topics: null })).topics, [])
  bench.commit('t', 1n)
  assert.equal(bench.committed('t'), 1n)
})

test('an administrator deletes offsets, but not of topics that the group reads', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  bench.commit('u', 6n, { memberId: a, generationId: 1 })
  const request = {
    groupId: GROUP,
    topics: [
      { name: 't', partitions: [{ partitionIndex: 0 }] },
      { name: 'u', partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }] },
    ],
  }
  const { errorCode, topics } = bench.take(deleteOffsets(bench.groups, request))
  assert.equal(errorCode, 0)
  assert.deepEqual(
    topics?.map(({ partitions }) => partitions.map(errorOf)),
    [['GROUP_SUBSCRIBED_TO_TOPIC'], ['NONE', 'NONE']],
  )
  assert.equal(bench.committed('t'), 5n)
  assert.equal(bench.committed('u'), -1n)
  assert.equal(Workbench.restartedFrom(bench.log).committed('u'), -1n)
})

test('of a group whose members we cannot understand no offsets are deleted while it lives', () => {
  const bench = new Workbench()
  bench.stable(['a'], { protocolType: 'connect' })
  const request = { groupId: GROUP, topics: [{ name: 't', partitions: [{ partitionIndex: 0 }] }] }
  assert.equal(errorOf(bench.take(deleteOffsets(bench.groups, request))), 'NON_EMPTY_GROUP')
  assert.equal(errorOf(bench.take(deleteOffsets(bench.groups, { ...request, groupId: 'nobody' }))), 'GROUP_ID_NOT_FOUND')
})

test('consumers whose metadata cannot be read are taken to read every topic', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'], { protocols: [{ name: 'range', metadata: Buffer.from([0]) }] })
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  const request = { groupId: GROUP, topics: [{ name: 't', partitions: [{ partitionIndex: 0 }] }] }
  const { topics } = bench.take(deleteOffsets(bench.groups, request))
  assert.equal(errorOf(topics?.[0].partitions[0]), 'GROUP_SUBSCRIBED_TO_TOPIC')
})

test('the offsets of a topic that is deleted are dropped, even of a group that reads it', () => {
  const bench = new Workbench()
  bench.join('a', old)
  bench.advance(3_000)
  const a = bench.answer('a')!.memberId
  bench.assign([a])
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  bench.commit('u', 6n, { memberId: a, generationId: 1 })
  assert.equal(bench.take(dropTopicOffsets(bench.groups, GROUP, new Set(['t', 'unheard-of']))), 1)
  assert.equal(bench.committed('t'), -1n)
  assert.equal(bench.committed('u'), 6n)
})
