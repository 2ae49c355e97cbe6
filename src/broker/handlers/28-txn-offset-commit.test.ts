import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultGroupConfig } from '../../coordinators/group/group-config.ts'
import { GroupCoordinator } from '../../coordinators/group/group-coordinator.ts'
import { SimulatedClock, SimulatedLog } from '../../coordinators/runtime/simulated.ts'
import { ErrorCode, errorName, KafkaError } from '../../protocol/error-codes.ts'
import type { Services } from '../services.ts'
import { offsetFetch } from './09-offset-fetch.ts'
import { txnOffsetCommit } from './28-txn-offset-commit.ts'
import type { Call } from './handler.ts'

/** Topic `t` has two partitions. */
async function start(isLoaded = true): Promise<Services> {
  const log = new SimulatedLog()
  const groups = new GroupCoordinator({
    config: defaultGroupConfig,
    partitionCount: () => 1,
    logFor: () => log,
    clock: new SimulatedClock(),
    uuid: () => '',
    report: () => {},
  })
  if (isLoaded) await groups.loadPartition(0)
  const image = { topic: (name: string) => (name === 't' ? { partitions: [{}, {}] } : undefined) }
  return { groups, image: () => image } as unknown as Services
}

const call = (version: number) => ({ version, clientId: 'c', connection: {}, sent: undefined }) as unknown as Call

const partition = (partitionIndex: number) => ({
  partitionIndex,
  committedOffset: 5n,
  committedLeaderEpoch: -1,
  committedMetadata: null,
})

const committing = (...topics: [name: string, partitions: number[]][]) => ({
  transactionalId: 'tx',
  groupId: 'g',
  producerId: 1n,
  producerEpoch: 0,
  generationId: -1,
  memberId: '',
  groupInstanceId: null,
  topics: topics.map(([name, partitions]) => ({ name, partitions: partitions.map(partition) })),
})

async function commit(services: Services, request: ReturnType<typeof committing>) {
  const answer = await txnOffsetCommit.handle(request, services, call(5))
  assert.ok(answer !== null && answer !== 'close')
  return answer.topics.map(({ name, partitions }) => [
    name,
    ...partitions.map(({ partitionIndex, errorCode }) => `${partitionIndex} ${errorName(errorCode)}`),
  ])
}

test('each partition gets its own answer, in the order of the request: what does not exist does not stop the others', async () => {
  const services = await start()
  assert.deepEqual(await commit(services, committing(['t', [2, 1, -1]], ['nowhere', [0]], ['t', [0]])), [
    ['t', '2 UNKNOWN_TOPIC_OR_PARTITION', '1 NONE', '-1 UNKNOWN_TOPIC_OR_PARTITION'],
    ['nowhere', '0 UNKNOWN_TOPIC_OR_PARTITION'],
    ['t', '0 NONE'],
  ])
})

test('a commit of nothing that exists does not bother the coordinator', async () => {
  const services = await start(false)
  assert.deepEqual(await commit(services, committing(['nowhere', [0]])), [['nowhere', '0 UNKNOWN_TOPIC_OR_PARTITION']])
  assert.deepEqual(await commit(services, committing()), [])
  assert.deepEqual(await commit(services, committing(['t', [0]])), [['t', '0 NOT_COORDINATOR']])
})

test('a failure is that of every partition', () => {
  const answer = txnOffsetCommit.fail(committing(['t', [0, 1]]), new KafkaError('GROUP_AUTHORIZATION_FAILED'))
  assert.ok(answer !== 'close')
  assert.deepEqual(answer.topics[0].partitions, [
    { partitionIndex: 0, errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED },
    { partitionIndex: 1, errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED },
  ])
})

test('OffsetFetch hands on that stable offsets are required, for one group and for many', async () => {
  const services = await start()
  await commit(services, committing(['t', [0]]))
  const topics = [{ name: 't', topicId: '', partitionIndexes: [0] }]
  for (const requireStable of [true, false]) {
    const expected = requireStable ? ErrorCode.UNSTABLE_OFFSET_COMMIT : ErrorCode.NONE
    const one = await offsetFetch.handle({ groupId: 'g', topics, groups: [], requireStable }, services, call(7))
    assert.ok(one !== null && one !== 'close')
    assert.equal(one.topics?.[0].partitions[0].errorCode, expected)
    const groups = [{ groupId: 'g', memberId: null, memberEpoch: -1, topics }]
    const many = await offsetFetch.handle({ groupId: '', topics: null, groups, requireStable }, services, call(8))
    assert.ok(many !== null && many !== 'close')
    assert.equal(many.groups?.[0].topics[0].partitions[0].errorCode, expected)
  }
})
