// The decisions that only a controller of several brokers makes, by themselves: image in, steps and answer out.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { BrokerConfig } from '../../config/effective.ts'
import { seededRandom } from '../../host/random.ts'
import { errorName, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { MetadataImage } from '../metadata-image.ts'
import { encodePartition, encodeRecord, keys, newPartition, type PartitionRecord } from '../metadata-records.ts'
import type { Event } from '../store/metadata-store.ts'
import { incrementalAlterConfigs } from './alter-configs.ts'
import { alterPartition } from './alter-partition.ts'
import { BrokerIndex } from './broker-index.ts'
import { evacuateBroker, fenceBroker, unfenceBroker, unregisterBroker } from './broker-state.ts'
import { packSteps } from './commit-packing.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { balanceLeaders, electLeaders } from './elect-leaders.ts'
import { listReassignments, reassignPartitions } from './reassign-partitions.ts'
import { registerBroker } from './register-broker.ts'

const TOPIC = 'AAAAAAAAAAAAAAAAAAAAAQ' as TopicId

const contextOf = (config: Record<string, string> = {}): DecisionContext => ({
  nowMs: 0,
  random: seededRandom(1),
  brokerId: 1,
  config: new BrokerConfig(new Map(Object.entries({ 'min.insync.replicas': '2', ...config }))),
})
const context = contextOf()

const put = (key: string, value: Buffer, revision = 1): Event => ({
  put: { key, value, created: revision, modified: revision, lease: 'l' },
})

/** The image once a decision is committed. */
function after(image: MetadataImage, { steps }: Decision<unknown>): MetadataImage {
  const revision = image.revision + 1
  const events = steps.flatMap(({ ops }) =>
    ops.flatMap((op): Event[] =>
      'put' in op ? [put(op.put, op.value as Buffer, revision)] : 'delete' in op ? [{ delete: op.delete }] : [],
    ),
  )
  return image.apply(revision, events).image
}

const record = { endpoints: [], rack: null, machine: null, logDirs: [] }
const brokerRecord = { ...record, incarnation: 'x', fenced: false, inControlledShutdown: false }
const alive = (id: number, created: number, previousEpoch: number | null = null): Event => ({
  put: {
    key: keys.alive(id),
    value: encodeRecord({ ...record, incarnation: `${id}/${created}`, previousEpoch }),
    created,
    modified: created,
    lease: 'l',
  },
})

/** Brokers 1 to 4 with epochs 10 times as high, and a topic with these partitions. */
function cluster(...partitions: Partial<PartitionRecord>[]): MetadataImage {
  const events = [1, 2, 3, 4].flatMap((id) => [
    alive(id, id * 10),
    put(keys.broker(id), encodeRecord({ ...brokerRecord, epoch: id * 10 })),
  ])
  for (const [index, change] of partitions.entries())
    events.push(put(keys.partition(TOPIC, index), encodePartition({ ...newPartition([1, 2, 3]), ...change })))
  events.push(put(keys.topic(TOPIC), encodeRecord({ name: 't', partitionCount: partitions.length, internal: false })))
  events.push(put(keys.controller, encodeRecord({ brokerId: 1, brokerEpoch: 10 })))
  return MetadataImage.empty().apply(100, events).image
}

const partitionOf = (image: MetadataImage, index = 0) => image.topic('t')!.partitions[index]

suite('altering a partition', () => {
  const ask = (image: MetadataImage, change: object = {}, brokerEpoch = 10n, brokerId = 1) => {
    const partition = {
      partitionIndex: 0,
      leaderEpoch: 5,
      newIsr: [],
      newIsrWithEpochs: [1, 2].map((id) => ({ brokerId: id, brokerEpoch: BigInt(id * 10) })),
      leaderRecoveryState: 0,
      partitionEpoch: 7,
      ...change,
    }
    return alterPartition(image, { brokerId, brokerEpoch, topics: [{ topicId: TOPIC, partitions: [partition] }] }, context)
  }
  const image = cluster({ leaderEpoch: 5, partitionEpoch: 7 })
  const members = (...list: [number, number][]) => ({
    newIsrWithEpochs: list.map(([brokerId, epoch]) => ({ brokerId, brokerEpoch: BigInt(epoch) })),
  })

  test('what may be is done, and told', () => {
    const decision = ask(image)
    const [{ partitions }] = decision.reply.topics
    assert.deepEqual([partitions[0].errorCode, partitions[0].isr, partitions[0].partitionEpoch], [0, [1, 2], 8])
    assert.deepEqual(partitionOf(after(image, decision)).isr, [1, 2])
  })

  test('the checks come in their order', () => {
    const rows: [string, object, string][] = [
      ['an epoch from the future', { leaderEpoch: 6 }, 'NOT_CONTROLLER'],
      ['a partition epoch from the future', { partitionEpoch: 8 }, 'NOT_CONTROLLER'],
      ['an old leader', { leaderEpoch: 4, partitionEpoch: 6 }, 'FENCED_LEADER_EPOCH'],
      ['old knowledge', { partitionEpoch: 6, ...members([9, 9]) }, 'INVALID_UPDATE_VERSION'],
      ['without the leader', members([2, 20], [3, 30]), 'INVALID_REQUEST'],
      ['a stranger', members([1, 10], [4, 40]), 'INVALID_REQUEST'],
      ['a member twice', members([1, 10], [1, 10]), 'INVALID_REQUEST'],
      ['recovering where nothing is to recover', { leaderRecoveryState: 1, ...members([1, 10]) }, 'INVALID_REQUEST'],
      ['a member of an earlier life', members([1, 10], [2, 19]), 'INELIGIBLE_REPLICA'],
      ['a partition that is not there', { partitionIndex: 9 }, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ]
    for (const [says, change, code] of rows) {
      const decision = ask(image, change)
      assert.equal(errorName(decision.reply.topics[0].partitions[0].errorCode), code, says)
      assert.deepEqual(decision.steps, [], says)
    }
    assert.equal(errorName(ask(image, {}, 9n).reply.errorCode), 'STALE_BROKER_EPOCH')
    assert.equal(errorName(ask(image, {}, 20n, 2).reply.topics[0].partitions[0].errorCode), 'INVALID_REQUEST')
  })

  test('an epoch that the leader does not know is taken for members, not for newcomers', () => {
    const shrunk = cluster({ leaderEpoch: 5, partitionEpoch: 7, isr: [1, 2] })
    const code = (...list: [number, number][]) => errorName(ask(shrunk, members(...list)).reply.topics[0].partitions[0].errorCode)
    assert.equal(code([1, 10], [2, -1]), 'NONE')
    assert.equal(code([1, 10], [2, 20], [3, -1]), 'INELIGIBLE_REPLICA')
  })

  test('neither a fenced broker comes in, nor one whose lease is gone', () => {
    const shrunk = cluster({ leaderEpoch: 5, partitionEpoch: 7, isr: [1] })
    const fenced = after(shrunk, fenceBroker(shrunk, 2))
    const gone = shrunk.apply(101, [{ delete: keys.alive(2) }]).image
    for (const there of [fenced, gone])
      assert.equal(errorName(ask(there).reply.topics[0].partitions[0].errorCode), 'INELIGIBLE_REPLICA')
    assert.equal(errorName(ask(shrunk).reply.topics[0].partitions[0].errorCode), 'NONE')
  })

  test('a commit that trusts a newcomer is refused should it be gone by then', () => {
    const shrunk = cluster({ leaderEpoch: 5, partitionEpoch: 7, isr: [1] })
    assert.deepEqual(ask(shrunk).steps[0].guards, [{ key: keys.alive(2), created: 20 }])
  })

  test('a leader whose wish ends a move that takes it away hears that another leads', () => {
    const moving = cluster({
      leaderEpoch: 5,
      partitionEpoch: 7,
      replicas: [2, 3, 4, 1],
      isr: [1, 2, 3],
      adding: [4],
      removing: [1],
    })
    const decision = ask(moving, members([1, 10], [2, 20], [3, 30], [4, 40]))
    assert.equal(errorName(decision.reply.topics[0].partitions[0].errorCode), 'NEW_LEADER_ELECTED')
    const { leader, leaderEpoch, replicas, isr, adding, removing } = partitionOf(after(moving, decision))
    assert.deepEqual(
      { leader, leaderEpoch, replicas, isr, adding, removing },
      { leader: 2, leaderEpoch: 6, replicas: [2, 3, 4], isr: [2, 3, 4], adding: [], removing: [] },
    )
  })
})

suite('elections that are asked for', () => {
  const codes = (image: MetadataImage, electionType: number, topicPartitions: { topic: string; partitions: number[] }[] | null) =>
    electLeaders(image, { electionType, topicPartitions }, context).reply.replicaElectionResults.flatMap(({ partitionResult }) =>
      partitionResult.map(({ partitionId, errorCode }) => `${partitionId} ${errorName(errorCode)}`),
    )

  test('of preferred leaders', () => {
    const image = cluster({}, { leader: 2 }, { leader: 2, isr: [2, 3] })
    assert.deepEqual(codes(image, 0, [{ topic: 't', partitions: [0, 1, 2, 3] }]), [
      '0 ELECTION_NOT_NEEDED',
      '1 NONE',
      '2 PREFERRED_LEADER_NOT_AVAILABLE',
      '3 UNKNOWN_TOPIC_OR_PARTITION',
    ])
    assert.deepEqual(codes(image, 0, null), ['1 NONE', '2 PREFERRED_LEADER_NOT_AVAILABLE'])
  })

  test('of anybody', () => {
    const image = cluster({}, { leader: -1, isr: [], lastKnownLeader: 9 }, { leader: -1, isr: [], replicas: [8, 9] })
    assert.deepEqual(codes(image, 1, null), ['1 NONE', '2 ELIGIBLE_LEADERS_NOT_AVAILABLE'])
    assert.throws(() => codes(image, 2, null), KafkaError)
  })

  test('leaders go back only where a broker lacks more of its own than the configuration lets be', () => {
    const one = Array.from({ length: 20 }, (_, i): Partial<PartitionRecord> => (i < 2 ? { leader: 2 } : {}))
    assert.equal(balanceLeaders(cluster(...one), undefined, context).steps.length, 0)
    const three = Array.from({ length: 20 }, (_, i): Partial<PartitionRecord> => (i < 3 ? { leader: 2 } : {}))
    assert.equal(balanceLeaders(cluster(...three), undefined, context).steps.length, 3)
  })
})

suite('moving partitions', () => {
  const move = (image: MetadataImage, replicas: number[] | null, allowReplicationFactorChange = true) =>
    reassignPartitions(
      image,
      { allowReplicationFactorChange, topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }] },
      context,
    )
  const code = (decision: ReturnType<typeof move>) => errorName(decision.reply.responses[0].partitions[0].errorCode)

  test('a move begins, is listed, is replaced by another, and is taken back', () => {
    let image = cluster({})
    image = after(image, move(image, [4, 2, 3]))
    assert.deepEqual(partitionOf(image).replicas, [4, 2, 3, 1])
    assert.deepEqual(listReassignments(image, null).topics[0].partitions, [
      { partitionIndex: 0, replicas: [4, 2, 3, 1], addingReplicas: [4], removingReplicas: [1] },
    ])
    assert.deepEqual(listReassignments(image, [{ name: 't', partitionIndexes: [1] }]).topics, [])
    const back = after(image, move(image, null))
    assert.deepEqual([partitionOf(back).replicas, partitionOf(back).isr, partitionOf(back).leader], [[2, 3, 1], [1, 2, 3], 1])
    assert.equal(code(move(back, null)), 'NO_REASSIGNMENT_IN_PROGRESS')
    const other = after(image, move(image, [1, 2, 3]))
    assert.deepEqual([partitionOf(other).replicas, partitionOf(other).adding], [[1, 2, 3], []])
  })

  test('what cannot be is refused', () => {
    const image = cluster({})
    assert.equal(code(move(image, [1, 9])), 'INVALID_REPLICA_ASSIGNMENT')
    assert.equal(code(move(image, [])), 'INVALID_REPLICA_ASSIGNMENT')
    assert.equal(code(move(image, [1, 2], false)), 'INVALID_REPLICATION_FACTOR')
    const alone = cluster({ replicas: [4, 1], isr: [4], leader: 4, adding: [4], removing: [1] })
    assert.equal(code(move(alone, null)), 'INVALID_REPLICA_ASSIGNMENT')
  })
})

suite('brokers come and go', () => {
  test('one that comes back unclean is out of every ISR and ELR before it is known by its new epoch, a hundred at a time', () => {
    const many = Array.from(
      { length: 150 },
      (_, i): Partial<PartitionRecord> => (i % 2 === 0 ? {} : { leader: 2, isr: [2], elr: [1] }),
    )
    let image = cluster(...many).apply(200, [alive(1, 200)]).image
    const sizes: number[] = []
    for (let done = false; !done; ) {
      const decision = registerBroker(image, { id: 1, index: new BrokerIndex(image), published: true }, context)
      const known = image.broker(1)!.epoch
      assert.ok(known === 10 && decision.steps.length <= 101)
      image = after(image, decision)
      sizes.push(decision.steps.length)
      done = decision.reply
    }
    assert.deepEqual(sizes, [100, 51])
    assert.ok(image.topic('t')!.partitions.every(({ isr, elr, leader }) => !isr.includes(1) && !elr.includes(1) && leader !== 1))
    assert.deepEqual([image.broker(1)?.epoch, image.broker(1)?.fenced], [200, true])
  })

  test('one that comes back clean keeps its place among the eligible', () => {
    const image = cluster({ leader: 2, isr: [2], elr: [1] }).apply(200, [alive(1, 200, 10)]).image
    const next = after(image, registerBroker(image, { id: 1, index: new BrokerIndex(image), published: true }, context))
    assert.deepEqual([partitionOf(next).isr, partitionOf(next).elr, next.broker(1)?.epoch], [[2], [1], 200])
  })

  test('it is not registered while others decided just now may have trusted its old epoch', () => {
    const image = cluster({}).apply(200, [alive(1, 200)]).image
    const decision = registerBroker(image, { id: 1, index: new BrokerIndex(image), published: false }, context)
    assert.equal(decision.reply, false)
    assert.equal(after(image, decision).broker(1)?.epoch, 10)
  })

  test('brokers that are gone together leave in one change each', () => {
    let image = cluster({}, {})
    for (const id of [1, 2]) image = after(image, fenceBroker(image, id))
    image = after(image, evacuateBroker(image, { id: 1, index: new BrokerIndex(image) }, context))
    for (const { leader, isr, elr, partitionEpoch } of image.topic('t')!.partitions)
      assert.deepEqual([leader, isr, elr.toSorted(), partitionEpoch], [3, [3], [1, 2], 1])
    assert.deepEqual(evacuateBroker(image, { id: 2, index: new BrokerIndex(image) }, context).steps, [])
  })

  test('only the process with the epoch is unfenced, and only with its lease', () => {
    const image = cluster({})
    const fenced = after(image, fenceBroker(image, 1))
    assert.throws(() => unfenceBroker(fenced, { id: 1, epoch: 9 }), KafkaError)
    assert.deepEqual(unfenceBroker(fenced, { id: 1, epoch: 10 }).steps[0].guards, [{ key: keys.alive(1), created: 10 }])
    const gone = fenced.apply(300, [{ delete: keys.alive(1) }]).image
    assert.deepEqual(unfenceBroker(gone, { id: 1, epoch: 10 }).steps, [])
  })

  test('a broker is forgotten when it is gone, not before', () => {
    const image = cluster({})
    const command = { id: 4, index: new BrokerIndex(image) }
    assert.throws(() => unregisterBroker(image, command, context), KafkaError)
    assert.throws(() => unregisterBroker(image, { ...command, id: 9 }, context), KafkaError)
    const gone = image.apply(300, [{ delete: keys.alive(4) }]).image
    assert.equal(after(gone, unregisterBroker(gone, command, context)).broker(4), undefined)
  })
})

suite('min.insync.replicas of a cluster', () => {
  const alter = (image: MetadataImage, resourceType: number, resourceName: string, value: string | null) =>
    incrementalAlterConfigs(
      image,
      {
        validateOnly: false,
        resources: [
          {
            resourceType,
            resourceName,
            configs: [{ name: 'min.insync.replicas', configOperation: value === null ? 1 : 0, value }],
          },
        ],
      },
      context,
    )
  const code = (decision: ReturnType<typeof alter>) => errorName(decision.reply[0].errorCode)

  test('a smaller one ends ELRs before leaders may acknowledge by it', () => {
    const image = cluster({ isr: [1], elr: [2, 3] })
    const { steps } = alter(image, 2, 't', '1')
    assert.deepEqual(
      steps.map(({ ops }) => ('put' in ops[0] ? ops[0].put : '')),
      [keys.partition(TOPIC, 0), keys.config('topic', 't')],
    )
    assert.deepEqual(partitionOf(after(image, alter(image, 2, 't', '1'))).elr, [])
    assert.equal(alter(image, 2, 't', '2').steps.length, 1)
    assert.deepEqual(partitionOf(after(image, alter(image, 4, '', '1'))).elr, [])
  })

  test('no broker has its own, and the cluster is not left without', () => {
    const image = cluster({})
    assert.equal(code(alter(image, 4, '2', '1')), 'INVALID_CONFIG')
    const set = after(image, alter(image, 4, '', '1'))
    assert.equal(code(alter(set, 4, '', null)), 'INVALID_CONFIG')
  })
})

suite('steps are packed into commits', () => {
  const limits = { opsPerCommit: 8, bytesPerCommit: 100_000 }
  const step = (key: string, value = 'x', guards?: { key: string; created: number }[]) => ({
    ops: [{ put: key, value: Buffer.from(value) }],
    guards,
  })

  test('what is written twice is written once, as it is at last', () => {
    const { commits, commitOf } = packSteps([step('a', '1'), step('b', '1'), step('a', '2')], limits)
    assert.deepEqual(
      commits.map(({ ops }) => ops.map((op) => ('put' in op ? `${op.put}${Buffer.from(op.value)}` : ''))),
      [['a2', 'b1']],
    )
    assert.deepEqual(commitOf, [0, 0, 0])
  })

  test('a guard about what is written before it waits for the next commit', () => {
    const deleted = { ops: [{ delete: 'names/t' }] }
    const { commits } = packSteps([deleted, step('names/t', 'x', [{ key: 'names/t', created: 0 }])], limits)
    assert.equal(commits.length, 2)
  })

  test('what lies below a prefix that goes is not touched in the same commit', () => {
    const gone = { ops: [{ deletePrefix: 'p/1/' }] }
    assert.equal(packSteps([step('p/1/0'), gone], limits).commits.length, 2)
    assert.equal(packSteps([gone, step('p/1/0')], limits).commits.length, 2)
    assert.equal(packSteps([gone, step('p/2/0')], limits).commits.length, 1)
  })

  test('no commit is larger than the store takes, with what the controller adds', () => {
    const { commits } = packSteps(
      Array.from({ length: 40 }, (_, i) => step(`k${i}`, 'x', [{ key: 'alive/1', created: 1 }])),
      limits,
    )
    for (const { ops, guards } of commits) {
      assert.ok(ops.length + 1 <= limits.opsPerCommit)
      assert.ok(ops.length + guards.length + 2 <= limits.opsPerCommit)
    }
    assert.equal(commits.flatMap(({ ops }) => ops).length, 40)
  })
})
