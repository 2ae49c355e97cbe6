// The controller's commands by themselves: image in, decision out.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { BrokerConfig, TopicConfig } from '../../config/effective.ts'
import { seededRandom } from '../../host/random.ts'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../../protocol/ids.ts'
import { MetadataImage } from '../metadata-image.ts'
import type { Event } from '../store/metadata-store.ts'
import { type AlteredResource, alterConfigs, incrementalAlterConfigs } from './alter-configs.ts'
import { createPartitions, type GrownTopic } from './create-partitions.ts'
import { createTopics, type NewTopic } from './create-topics.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { deleteTopics } from './delete-topics.ts'
import { registerSingleNode } from './register-broker.ts'

const TOPIC = 2
const BROKER = 4
const GROUP = 32

/** One for all: each topic needs an id of its own. */
const random = seededRandom(5)

const contextOf = (config: Record<string, string> = {}): DecisionContext => ({
  nowMs: 0,
  random,
  brokerId: 1,
  config: new BrokerConfig(new Map(Object.entries(config))),
})

/** The image once a decision is committed. */
function after(image: MetadataImage, { steps }: Decision<unknown>): MetadataImage {
  const events = steps.flatMap(({ ops }) =>
    ops.flatMap((op): Event[] => {
      if ('put' in op) return [{ put: { key: op.put, value: op.value, created: 1, modified: 1, lease: null } }]
      return 'delete' in op ? [{ delete: op.delete }] : []
    }),
  )
  return image.apply(image.revision + 1, events).image
}

const broker = (id: number) => ({ id, epoch: id, incarnation: 'x', endpoints: [], rack: null, logDirs: [], cleanShutdown: true })
const clusterOf = (...ids: number[]) =>
  ids.reduce((image, id) => after(image, registerSingleNode(image, broker(id))), MetadataImage.empty())
const single = clusterOf(1)

const topic = (name: string, change: Partial<NewTopic> = {}): NewTopic => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
  ...change,
})

const create = (image: MetadataImage, topics: NewTopic[], context = contextOf(), validateOnly = false) =>
  createTopics(image, { topics, validateOnly }, context)
const withTopics = (...topics: NewTopic[]) => after(single, create(single, topics))
const codes = (decision: Decision<readonly { errorCode: number }[]>) =>
  decision.reply.map(({ errorCode }) => errorName(errorCode))

suite('creating topics', () => {
  test('-1 asks for the defaults of the broker, and the answer says what they came to', () => {
    const context = contextOf({ 'num.partitions': '4', 'log.retention.hours': '1' })
    const decision = create(single, [topic('orders', { configs: [{ name: 'segment.ms', value: '5' }] })], context)
    const [result] = decision.reply
    assert.deepEqual([result.errorCode, result.errorMessage, result.numPartitions, result.replicationFactor], [0, null, 4, 1])
    const configs = new Map(result.configs?.map((config) => [config.name, config]))
    assert.deepEqual([configs.get('segment.ms')?.value, configs.get('segment.ms')?.configSource], ['5', 1])
    assert.deepEqual([configs.get('retention.ms')?.value, configs.get('retention.ms')?.configSource], ['3600000', 4])
    assert.deepEqual([configs.get('cleanup.policy')?.value, configs.get('cleanup.policy')?.configSource], ['delete', 5])

    const image = after(single, decision)
    const created = image.topic('orders')
    assert.equal(created?.id, result.topicId)
    assert.notEqual(created?.id, ZERO_UUID)
    assert.deepEqual(
      created?.partitions.map(({ leader, leaderEpoch, replicas, isr }) => [leader, leaderEpoch, replicas, isr]),
      Array(4).fill([1, 0, [1], [1]]),
    )
    assert.deepEqual([...image.config('topic', 'orders')], [['segment.ms', '5']])
  })

  test('names follow the rules of Kafka', () => {
    const names: [string, string][] = [
      ['a', 'NONE'],
      ['A.b_c-9', 'NONE'],
      ['x'.repeat(249), 'NONE'],
      ['x'.repeat(250), 'INVALID_TOPIC_EXCEPTION'],
      ['', 'INVALID_TOPIC_EXCEPTION'],
      ['.', 'INVALID_TOPIC_EXCEPTION'],
      ['..', 'INVALID_TOPIC_EXCEPTION'],
      ['...', 'NONE'],
      ['a b', 'INVALID_TOPIC_EXCEPTION'],
      ['a/b', 'INVALID_TOPIC_EXCEPTION'],
      ['zpráva', 'INVALID_TOPIC_EXCEPTION'],
    ]
    for (const [name, code] of names) assert.deepEqual(codes(create(single, [topic(name)])), [code], name)
  })

  test('a name that differs from another only in . and _ is refused, in one request too', () => {
    const image = withTopics(topic('a.b_c'))
    assert.deepEqual(codes(create(image, [topic('a_b.c')])), ['INVALID_TOPIC_EXCEPTION'])
    assert.deepEqual(codes(create(image, [topic('a-b_c'), topic('d.e'), topic('d_e')])), [
      'NONE',
      'NONE',
      'INVALID_TOPIC_EXCEPTION',
    ])
  })

  test('what cannot be is refused with its code, and does not stop the others', () => {
    const image = withTopics(topic('there'))
    const cases: [NewTopic, string][] = [
      [topic('there'), 'TOPIC_ALREADY_EXISTS'],
      [topic('p0', { numPartitions: 0 }), 'INVALID_PARTITIONS'],
      [topic('p-2', { numPartitions: -2 }), 'INVALID_PARTITIONS'],
      [topic('r0', { replicationFactor: 0 }), 'INVALID_REPLICATION_FACTOR'],
      [topic('r-2', { replicationFactor: -2 }), 'INVALID_REPLICATION_FACTOR'],
      [topic('r2', { replicationFactor: 2 }), 'INVALID_REPLICATION_FACTOR'],
      [topic('c1', { configs: [{ name: 'retention.hours', value: '1' }] }), 'INVALID_CONFIG'],
      [topic('c2', { configs: [{ name: 'retention.ms', value: 'soon' }] }), 'INVALID_CONFIG'],
      [topic('c3', { configs: [{ name: 'retention.ms', value: null }] }), 'INVALID_CONFIG'],
      [topic('c4', { configs: [{ name: 'remote.storage.enable', value: 'true' }] }), 'INVALID_CONFIG'],
      [topic('c5', { configs: [{ name: 'segment.bytes', value: '100' }] }), 'INVALID_CONFIG'],
      [
        topic('c6', {
          configs: [
            { name: 'max.compaction.lag.ms', value: '1' },
            { name: 'min.compaction.lag.ms', value: '2' },
          ],
        }),
        'INVALID_CONFIG',
      ],
      [topic('good'), 'NONE'],
    ]
    const decision = create(
      image,
      cases.map(([wanted]) => wanted),
    )
    assert.deepEqual(
      decision.reply.map(({ name, errorCode }) => [name, errorName(errorCode)]),
      cases.map(([{ name }, code]) => [name, code]),
    )
    for (const { errorCode, errorMessage, topicId, numPartitions } of decision.reply) {
      if (errorCode === ErrorCode.NONE) continue
      assert.ok(errorMessage)
      assert.deepEqual([topicId, numPartitions], [ZERO_UUID, -1])
    }
    assert.deepEqual(
      after(image, decision)
        .topics()
        .map(({ name }) => name)
        .sort(),
      ['good', 'there'],
    )
  })

  test('a name that stands twice in a request is answered once, and not created', () => {
    const decision = create(single, [topic('a'), topic('b'), topic('a', { numPartitions: 2 })])
    assert.deepEqual(
      decision.reply.map(({ name, errorCode }) => [name, errorName(errorCode)]),
      [
        ['a', 'INVALID_REQUEST'],
        ['b', 'NONE'],
      ],
    )
  })

  test('assignments say partitions and replicas themselves', () => {
    const image = clusterOf(1, 2, 3)
    const assigned = (assignments: [number, number[]][], change: Partial<NewTopic> = {}) =>
      create(image, [
        topic('t', { assignments: assignments.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds })), ...change }),
      ])
    const good = assigned([
      [1, [2, 3]],
      [0, [3, 1]],
    ])
    assert.deepEqual(codes(good), ['NONE'])
    assert.deepEqual(good.reply[0].replicationFactor, 2)
    assert.deepEqual(
      after(image, good)
        .topic('t')
        ?.partitions.map(({ replicas, leader }) => [replicas, leader]),
      [
        [[3, 1], 3],
        [[2, 3], 2],
      ],
    )
    assert.deepEqual(codes(assigned([[0, [1]]], { numPartitions: 1 })), ['INVALID_REQUEST'])
    assert.deepEqual(codes(assigned([[0, [1]]], { replicationFactor: 1 })), ['INVALID_REQUEST'])
    assert.deepEqual(codes(assigned([[1, [1]]])), ['INVALID_REPLICA_ASSIGNMENT'])
    assert.deepEqual(
      codes(
        assigned([
          [0, [1]],
          [0, [2]],
        ]),
      ),
      ['INVALID_REPLICA_ASSIGNMENT'],
    )
    assert.deepEqual(
      codes(
        assigned([
          [0, [1]],
          [2, [2]],
        ]),
      ),
      ['INVALID_REPLICA_ASSIGNMENT'],
    )
    assert.deepEqual(
      codes(
        assigned([
          [0, [1]],
          [1, [1, 2]],
        ]),
      ),
      ['INVALID_REPLICA_ASSIGNMENT'],
    )
    assert.deepEqual(codes(assigned([[0, [1, 1]]])), ['INVALID_REPLICA_ASSIGNMENT'])
    assert.deepEqual(codes(assigned([[0, []]])), ['INVALID_REPLICA_ASSIGNMENT'])
    assert.deepEqual(codes(assigned([[0, [9]]])), ['INVALID_REPLICA_ASSIGNMENT'])
  })

  test('only to validate answers the same and changes nothing', () => {
    const decision = create(single, [topic('a'), topic('.')], contextOf(), true)
    assert.deepEqual(codes(decision), ['NONE', 'INVALID_TOPIC_EXCEPTION'])
    assert.deepEqual(decision.steps, [])
  })

  test('a request for too many partitions is refused as a whole', () => {
    assert.deepEqual(codes(create(single, [topic('a', { numPartitions: 10_000 }), topic('b')])), [
      'POLICY_VIOLATION',
      'POLICY_VIOLATION',
    ])
    assert.deepEqual(codes(create(single, [topic('a', { numPartitions: 2_147_483_647 })])), ['POLICY_VIOLATION'])
  })

  test('leaders and replicas are spread evenly, no broker twice in a partition', () => {
    const image = clusterOf(1, 2, 3, 4, 5)
    const decision = create(image, [topic('t', { numPartitions: 100, replicationFactor: 3 })])
    const partitions = after(image, decision).topic('t')!.partitions
    for (const id of [1, 2, 3, 4, 5]) {
      assert.equal(partitions.filter(({ leader }) => leader === id).length, 20)
      assert.equal(partitions.filter(({ replicas }) => replicas.includes(id)).length, 60)
      // What a lost leader led is spread over all others.
      const heirs = new Set(partitions.filter(({ leader }) => leader === id).map(({ replicas }) => replicas[1]))
      assert.equal(heirs.size, 4)
    }
    for (const { replicas, leader } of partitions) {
      assert.equal(new Set(replicas).size, 3)
      assert.equal(leader, replicas[0])
    }
  })

  test('internal topics are marked as such', () => {
    const image = withTopics(topic('__consumer_offsets'), topic('__mine'))
    assert.equal(image.topic('__consumer_offsets')?.internal, true)
    assert.equal(image.topic('__mine')?.internal, false)
  })

  test('nobody sees a topic before its last step', () => {
    const { steps } = create(single, [topic('a', { numPartitions: 3 })])
    let image = single
    for (const step of steps) {
      assert.equal(image.topic('a'), undefined)
      image = after(image, { steps: [step], reply: undefined })
    }
    assert.equal(image.topic('a')?.partitions.length, 3)
  })
})

suite('deleting topics', () => {
  const image = withTopics(topic('a', { configs: [{ name: 'retention.ms', value: '1' }] }), topic('b'))
  const id = (name: string) => image.topic(name)!.id
  const byName = (name: string) => ({ name, topicId: ZERO_UUID })
  const byId = (topicId: string) => ({ name: null, topicId })

  test('by name or id, with configuration', () => {
    const decision = deleteTopics(image, [byName('a'), byId(id('b'))], contextOf())
    assert.deepEqual(decision.reply, [
      { name: 'a', topicId: id('a'), errorCode: 0, errorMessage: null },
      { name: 'b', topicId: id('b'), errorCode: 0, errorMessage: null },
    ])
    const left = after(image, decision)
    assert.equal(left.topicCount, 0)
    assert.equal(left.config('topic', 'a').size, 0)
  })

  test('what is unknown, named twice or named wrongly is refused, each by itself', () => {
    const decision = deleteTopics(
      image,
      [
        byName('none'),
        byId('unknownunknownunknownu'),
        byName('a'),
        byId(id('a')),
        byName('b'),
        { name: 'b', topicId: id('b') },
        byId(ZERO_UUID),
      ],
      contextOf(),
    )
    assert.deepEqual(codes(decision), [
      'UNKNOWN_TOPIC_OR_PARTITION',
      'UNKNOWN_TOPIC_ID',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
    ])
    assert.deepEqual(decision.steps, [])
  })

  test('not where deletion is switched off', () => {
    const decision = deleteTopics(image, [byName('a')], contextOf({ 'delete.topic.enable': 'false' }))
    assert.deepEqual(codes(decision), ['TOPIC_DELETION_DISABLED'])
    assert.deepEqual(decision.steps, [])
  })
})

suite('adding partitions', () => {
  const image = after(clusterOf(1, 2), create(clusterOf(1, 2), [topic('a', { numPartitions: 2 })]))
  const grow = (topics: GrownTopic[], validateOnly = false) => createPartitions(image, { topics, validateOnly }, contextOf())
  const to = (count: number, assignments: number[][] | null = null, name = 'a'): GrownTopic => ({
    name,
    count,
    assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
  })

  test('the count is the new total, and what was there stays as it was', () => {
    const grown = after(image, grow([to(5)])).topic('a')!
    assert.equal(grown.partitions.length, 5)
    assert.deepEqual(grown.partitions.slice(0, 2), image.topic('a')!.partitions)
    assert.equal(grown.partitions[4].replicas.length, 1)
  })

  test('partitions can be assigned', () => {
    const grown = after(image, grow([to(4, [[2], [1]])])).topic('a')!
    assert.deepEqual(
      grown.partitions.slice(2).map(({ leader }) => leader),
      [2, 1],
    )
  })

  test('fewer, as many, unknown and contradictory requests are refused', () => {
    assert.deepEqual(codes(grow([to(2)])), ['INVALID_PARTITIONS'])
    assert.deepEqual(codes(grow([to(1)])), ['INVALID_PARTITIONS'])
    assert.deepEqual(codes(grow([to(-1)])), ['INVALID_PARTITIONS'])
    assert.deepEqual(codes(grow([to(2_000_000_000)])), ['INVALID_PARTITIONS'])
    assert.deepEqual(codes(grow([to(3, null, 'none')])), ['UNKNOWN_TOPIC_OR_PARTITION'])
    assert.deepEqual(codes(grow([to(4, [[1]])])), ['INVALID_REPLICA_ASSIGNMENT'])
    assert.deepEqual(codes(grow([to(3, [[1, 2]])])), ['INVALID_REPLICA_ASSIGNMENT'])
    assert.deepEqual(codes(grow([to(3, [[7]])])), ['INVALID_REPLICA_ASSIGNMENT'])
    assert.deepEqual(
      grow([to(3), to(4)]).reply.map(({ name, errorCode }) => [name, errorName(errorCode)]),
      [['a', 'INVALID_REQUEST']],
    )
  })

  test('only to validate changes nothing', () => {
    const decision = grow([to(3)], true)
    assert.deepEqual(codes(decision), ['NONE'])
    assert.deepEqual(decision.steps, [])
  })
})

suite('changing configuration', () => {
  const image = withTopics(topic('a', { configs: [{ name: 'retention.ms', value: '5' }] }), topic('b'))
  const SET = 0
  const DELETE = 1
  const APPEND = 2
  const SUBTRACT = 3
  type Change = [name: string, operation: number, value: string | null]
  const resource = (resourceType: number, resourceName: string, ...changes: Change[]): AlteredResource => ({
    resourceType,
    resourceName,
    configs: changes.map(([name, configOperation, value]) => ({ name, configOperation, value })),
  })
  const change = (from: MetadataImage, resources: AlteredResource[], context = contextOf()) =>
    incrementalAlterConfigs(from, { resources, validateOnly: false }, context)
  const code = (resourceType: number, resourceName: string, ...changes: Change[]) =>
    codes(change(image, [resource(resourceType, resourceName, ...changes)]))[0]
  const texts = (from: MetadataImage, name: string) => Object.fromEntries(from.config('topic', name))

  test('keys are set and deleted one by one', () => {
    let next = after(image, change(image, [resource(TOPIC, 'a', ['segment.ms', SET, '9'])]))
    assert.deepEqual(texts(next, 'a'), { 'retention.ms': '5', 'segment.ms': '9' })
    next = after(next, change(next, [resource(TOPIC, 'a', ['retention.ms', DELETE, null], ['flush.ms', DELETE, null])]))
    assert.deepEqual(texts(next, 'a'), { 'segment.ms': '9' })
    next = after(next, change(next, [resource(TOPIC, 'a', ['segment.ms', DELETE, null])]))
    assert.deepEqual(texts(next, 'a'), {})
    assert.deepEqual(next.configuredResources('topic'), [])
  })

  test('lists are added to and taken from, beginning with what they inherit', () => {
    const context = contextOf({ 'log.cleanup.policy': 'delete' })
    let next = after(image, change(image, [resource(TOPIC, 'b', ['cleanup.policy', APPEND, 'compact'])], context))
    assert.deepEqual(texts(next, 'b'), { 'cleanup.policy': 'delete,compact' })
    next = after(next, change(next, [resource(TOPIC, 'b', ['cleanup.policy', APPEND, 'compact,delete'])], context))
    assert.deepEqual(texts(next, 'b'), { 'cleanup.policy': 'delete,compact' })
    next = after(next, change(next, [resource(TOPIC, 'b', ['cleanup.policy', SUBTRACT, 'delete'])], context))
    assert.deepEqual(texts(next, 'b'), { 'cleanup.policy': 'compact' })
    assert.equal(code(TOPIC, 'a', ['retention.ms', APPEND, '5']), 'INVALID_CONFIG')
    assert.equal(code(TOPIC, 'a', ['retention.ms', SUBTRACT, '5']), 'INVALID_CONFIG')
    assert.equal(code(TOPIC, 'a', ['cleanup.policy', APPEND, 'shred']), 'INVALID_CONFIG')
  })

  test('what is wrong with the request is told from what is wrong with the configuration', () => {
    assert.equal(code(TOPIC, 'a', ['retenton.ms', SET, '5']), 'INVALID_CONFIG')
    assert.equal(code(TOPIC, 'a', ['retention.ms', SET, '-2']), 'INVALID_CONFIG')
    assert.equal(code(TOPIC, 'a', ['max.compaction.lag.ms', SET, '1'], ['min.compaction.lag.ms', SET, '2']), 'INVALID_CONFIG')
    assert.equal(code(TOPIC, 'a', ['retention.ms', SET, null]), 'INVALID_REQUEST')
    assert.equal(code(TOPIC, 'a', ['retention.ms', 9, '1']), 'INVALID_REQUEST')
    assert.equal(code(TOPIC, 'a', ['retention.ms', SET, '1'], ['retention.ms', SET, '2']), 'INVALID_REQUEST')
    assert.equal(code(TOPIC, ''), 'INVALID_REQUEST')
    assert.equal(code(TOPIC, 'a b', ['retention.ms', SET, '1']), 'INVALID_TOPIC_EXCEPTION')
    assert.equal(code(TOPIC, 'none', ['retention.ms', SET, '1']), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(code(8, '1', ['x', SET, 'DEBUG']), 'INVALID_REQUEST')
    assert.equal(code(99, 'a'), 'INVALID_REQUEST')
    const [result] = change(image, [resource(TOPIC, 'a', ['retenton.ms', SET, '5'])]).reply
    assert.equal(result.errorMessage, 'Unknown topic configuration retenton.ms (did you mean retention.ms?)')
  })

  test('a resource changes as a whole or not at all, and by itself', () => {
    const decision = change(image, [
      resource(TOPIC, 'a', ['segment.ms', SET, '9'], ['retention.ms', SET, 'x']),
      resource(TOPIC, 'b', ['segment.ms', SET, '9']),
    ])
    assert.deepEqual(codes(decision), ['INVALID_CONFIG', 'NONE'])
    const next = after(image, decision)
    assert.deepEqual([texts(next, 'a'), texts(next, 'b')], [{ 'retention.ms': '5' }, { 'segment.ms': '9' }])
    assert.deepEqual(codes(change(image, [resource(TOPIC, 'a'), resource(TOPIC, 'b'), resource(TOPIC, 'a')])), [
      'INVALID_REQUEST',
      'NONE',
      'INVALID_REQUEST',
    ])
  })

  test('brokers take what may change while they run, themselves or all together', () => {
    const next = after(
      image,
      change(image, [
        resource(BROKER, '', ['log.retention.ms', SET, '7']),
        resource(BROKER, '1', ['message.max.bytes', SET, '8']),
      ]),
    )
    assert.deepEqual([...next.config('broker', '')], [['log.retention.ms', '7']])
    assert.deepEqual([...next.config('broker', '1')], [['message.max.bytes', '8']])
    assert.equal(code(BROKER, '2', ['message.max.bytes', SET, '8']), 'INVALID_REQUEST')
    assert.equal(code(BROKER, 'one', ['message.max.bytes', SET, '8']), 'INVALID_REQUEST')
    assert.equal(code(BROKER, '', ['num.partitions', SET, '8']), 'INVALID_REQUEST')
    assert.equal(code(BROKER, '', ['num.partitions', DELETE, null]), 'NONE')
    assert.equal(code(BROKER, '', ['message.max.bytes', SET, 'big']), 'INVALID_REQUEST')
    assert.equal(code(BROKER, '', ['principal.builder.class', SET, 'x']), 'INVALID_REQUEST')
    assert.equal(
      code(BROKER, '', ['log.cleaner.min.compaction.lag.ms', SET, '2'], ['log.cleaner.max.compaction.lag.ms', SET, '1']),
      'INVALID_REQUEST',
    )
    assert.equal(code(BROKER, '', ['message.max.byte', SET, '8']), 'INVALID_CONFIG')
    assert.equal(code(BROKER, '', ['message.max.bytes', APPEND, '8']), 'INVALID_CONFIG')
  })

  test('groups take the keys of groups, within the bounds that their broker sets, whether they exist or not', () => {
    assert.equal(code(GROUP, 'g', ['consumer.session.timeout.ms', SET, '50000']), 'NONE')
    assert.equal(code(GROUP, 'g', ['consumer.session.timeout.ms', SET, '61000']), 'INVALID_CONFIG')
    assert.equal(code(GROUP, 'g', ['consumer.session.timeout.ms', SET, '44999']), 'INVALID_CONFIG')
    assert.equal(code(GROUP, 'g', ['share.auto.offset.reset', SET, 'earliest']), 'NONE')
    assert.equal(code(GROUP, 'g', ['share.auto.offset.reset', SET, 'middle']), 'INVALID_CONFIG')
    assert.equal(code(GROUP, 'g', ['retention.ms', SET, '1']), 'INVALID_CONFIG')
    assert.equal(code(GROUP, '', ['consumer.session.timeout.ms', SET, '50000']), 'INVALID_REQUEST')
  })

  test('the older request replaces all that a resource has', () => {
    const replace = (...configs: [string, string | null][]) =>
      alterConfigs(
        image,
        {
          resources: [{ resourceType: TOPIC, resourceName: 'a', configs: configs.map(([name, value]) => ({ name, value })) }],
          validateOnly: false,
        },
        contextOf(),
      )
    assert.deepEqual(texts(after(image, replace(['segment.ms', '9'])), 'a'), { 'segment.ms': '9' })
    assert.deepEqual(texts(after(image, replace()), 'a'), {})
    assert.deepEqual(codes(replace(['segment.ms', null])), ['INVALID_REQUEST'])
    assert.deepEqual(codes(replace(['segment.ms', '9'], ['segment.ms', '8'])), ['INVALID_REQUEST'])
    assert.deepEqual(codes(replace(['segment.ms', '0'])), ['INVALID_CONFIG'])
  })

  test('only to validate changes nothing', () => {
    const resources = [resource(TOPIC, 'a', ['segment.ms', SET, '9'])]
    const decision = incrementalAlterConfigs(image, { resources, validateOnly: true }, contextOf())
    assert.deepEqual(codes(decision), ['NONE'])
    assert.deepEqual(decision.steps, [])
  })

  test('what is set is what the topic then has', () => {
    const next = after(image, change(image, [resource(TOPIC, 'a', ['retention.ms', SET, ' 77 '])]))
    assert.equal(new TopicConfig(contextOf().config, next.config('topic', 'a')).get('retention.ms'), 77)
  })
})

suite('registering a broker', () => {
  test('after an unclean stop everything that it leads gets a new leader epoch, after a clean one nothing changes', () => {
    const image = withTopics(topic('a', { numPartitions: 2 }))
    const epochs = (from: MetadataImage) =>
      from.topic('a')!.partitions.map(({ leaderEpoch, partitionEpoch }) => [leaderEpoch, partitionEpoch])
    const clean = after(image, registerSingleNode(image, { ...broker(1), epoch: 7 }))
    assert.deepEqual(epochs(clean), [
      [0, 0],
      [0, 0],
    ])
    assert.equal(clean.broker(1)?.epoch, 7)
    const unclean = after(image, registerSingleNode(image, { ...broker(1), epoch: 8, cleanShutdown: false }))
    assert.deepEqual(epochs(unclean), [
      [1, 1],
      [1, 1],
    ])
    const other = after(image, registerSingleNode(image, { ...broker(2), cleanShutdown: false }))
    assert.deepEqual(epochs(other), [
      [0, 0],
      [0, 0],
    ])
  })
})

test('a topic that was deleted and made anew has another id', () => {
  const before = withTopics(topic('a'))
  const deleted = after(before, deleteTopics(before, [{ name: 'a', topicId: ZERO_UUID }], contextOf()))
  const again = after(deleted, create(deleted, [topic('a')], contextOf()))
  assert.notEqual(again.topic('a')?.id, before.topic('a')?.id)
  assert.equal(again.topicById(before.topic('a')?.id as TopicId), undefined)
})
