import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../host/random.ts'
import type { TopicId } from '../protocol/ids.ts'
import { MetadataImage } from './metadata-image.ts'
import {
  encodePartition,
  encodeRecord,
  keys,
  MetadataFormatError,
  newPartition,
  type PartitionRecord,
  parseKey,
} from './metadata-records.ts'
import type { Event } from './store/metadata-store.ts'

const A = 'topic-a' as TopicId
const B = 'topic-b' as TopicId

const put = (key: string, value: Buffer): Event => ({ put: { key, value, created: 1, modified: 1, lease: null } })
const topic = (id: TopicId, name: string, partitionCount: number) =>
  put(keys.topic(id), encodeRecord({ name, partitionCount, internal: false }))
const partition = (id: TopicId, index: number, change: Partial<PartitionRecord> = {}) =>
  put(keys.partition(id, index), encodePartition({ ...newPartition([1]), ...change }))
const config = (name: string, configs: Record<string, string>) => put(keys.config('topic', name), encodeRecord({ configs }))
const deletionOf = (id: TopicId, name: string, partitions: number): Event[] => [
  { delete: keys.name(name) },
  { delete: keys.topic(id) },
  { delete: keys.config('topic', name) },
  ...Array.from({ length: partitions }, (_, index) => ({ delete: keys.partition(id, index) })),
]

/** The image after the given revisions' events. */
const imageOf = (...revisions: Event[][]) =>
  revisions.reduce((image, events, i) => image.apply(i + 1, events).image, MetadataImage.empty())

test('a topic is there by name and id, with its partitions and configuration', () => {
  const { image, delta } = MetadataImage.empty().apply(5, [
    partition(A, 1, { leaderEpoch: 3 }),
    partition(A, 0),
    topic(A, 'a', 2),
    config('a', { 'retention.ms': '5' }),
  ])
  assert.equal(image.revision, 5)
  assert.equal(image.topic('a'), image.topicById(A))
  assert.deepEqual(
    image.topic('a')?.partitions.map(({ leaderEpoch }) => leaderEpoch),
    [0, 3],
  )
  assert.equal(image.partition('a', 1)?.leaderEpoch, 3)
  assert.equal(image.partition('a', 2), undefined)
  assert.deepEqual([...image.config('topic', 'a')], [['retention.ms', '5']])
  assert.deepEqual(image.config('topic', 'b').size, 0)
  assert.deepEqual(delta.createdTopics, [image.topic('a')])
  assert.deepEqual([delta.deletedTopics, delta.changedPartitions, delta.changedBrokers], [[], [], []])
  assert.deepEqual(delta.changedConfigs, [{ type: 'topic', name: 'a' }])
})

test('partitions are not seen before their topic, nor before it counts them', () => {
  const making = imageOf([partition(A, 0), partition(A, 1)])
  assert.deepEqual(making.topics(), [])
  assert.deepEqual(making.unfinishedTopics(), [A])
  const made = making.apply(2, [topic(A, 'a', 2)]).image
  assert.equal(made.topic('a')?.partitions.length, 2)
  assert.deepEqual(made.unfinishedTopics(), [])

  const growing = made.apply(3, [partition(A, 2), partition(A, 3)])
  assert.equal(growing.image.topic('a')?.partitions.length, 2)
  assert.deepEqual(growing.delta.changedPartitions, [])
  const grown = growing.image.apply(4, [topic(A, 'a', 4)])
  assert.equal(grown.image.topic('a')?.partitions.length, 4)
  assert.deepEqual(
    grown.delta.changedPartitions.map(({ index, before }) => [index, before]),
    [
      [2, undefined],
      [3, undefined],
    ],
  )
})

test('a changed partition is told with what it was', () => {
  const before = imageOf([partition(A, 0), partition(A, 1), topic(A, 'a', 2)])
  const { image, delta } = before.apply(2, [partition(A, 1, { leader: -1, leaderEpoch: 1, partitionEpoch: 1 })])
  assert.equal(delta.changedPartitions.length, 1)
  const [change] = delta.changedPartitions
  assert.deepEqual([change.index, change.before?.leader, change.after.leader, change.topic], [1, 1, -1, image.topic('a')])
  assert.equal(before.partition('a', 1)?.leader, 1, 'the image before is as it was')
})

test('a topic that is deleted and made anew under its name in one revision is told as both', () => {
  for (const reversed of [false, true]) {
    const deletion = deletionOf(A, 'a', 1)
    const creation = [partition(B, 0), topic(B, 'a', 1)]
    const { image, delta } = imageOf([partition(A, 0), topic(A, 'a', 1)]).apply(
      2,
      reversed ? [...creation, ...deletion] : [...deletion, ...creation],
    )
    assert.equal(image.topic('a')?.id, B)
    assert.equal(image.topicById(A), undefined)
    assert.equal(image.topicCount, 1)
    assert.deepEqual(
      delta.deletedTopics.map(({ id }) => id),
      [A],
    )
    assert.deepEqual(
      delta.createdTopics.map(({ id }) => id),
      [B],
    )
  }
})

test('brokers, the cluster and producer ids are part of the image', () => {
  const broker = {
    epoch: 3,
    incarnation: 'x',
    endpoints: [],
    rack: null,
    fenced: false,
    inControlledShutdown: false,
    logDirs: [],
  }
  const { image, delta } = MetadataImage.empty().apply(1, [
    put(keys.broker(2), encodeRecord(broker)),
    put(keys.broker(1), encodeRecord({ ...broker, fenced: true })),
    put(keys.cluster, encodeRecord({ id: 'c', epochBase: 0, createdMs: 1 })),
    put(keys.producerIds, encodeRecord({ next: '9007199254740993000' })),
    put('alive/2', encodeRecord({})),
    put('some/later/version', Buffer.from('not JSON')),
  ])
  assert.deepEqual(
    image.brokers().map(({ id }) => id),
    [1, 2],
  )
  assert.deepEqual(
    image.activeBrokers().map(({ id }) => id),
    [2],
  )
  assert.equal(image.broker(2)?.epoch, 3)
  assert.equal(image.cluster?.id, 'c')
  assert.equal(image.nextProducerId, 9007199254740993000n)
  assert.deepEqual(delta.changedBrokers, [2, 1])
})

test("a group's name may hold anything", () => {
  assert.deepEqual(parseKey(keys.config('group', 'a/b//c')), { kind: 'config', type: 'group', name: 'a/b//c' })
  const image = imageOf([put(keys.config('group', 'a/b'), encodeRecord({ configs: { x: 'y' } }))])
  assert.deepEqual(image.configuredResources('group'), ['a/b'])
})

test('metadata that is damaged, or newer than this version, says so', () => {
  const image = MetadataImage.empty()
  assert.throws(() => image.apply(1, [put(keys.topic(A), Buffer.from('{'))]), MetadataFormatError)
  assert.throws(
    () => image.apply(1, [put(keys.topic(A), Buffer.from('{"v":2}'))]),
    /metadata topics\/topic-a has version 2; this moldau reads version 1/,
  )
})

test('an image made step by step is the image of everything at once, and tells the same changes', () => {
  const random = seededRandom(11)
  const pick = (count: number) => random.u32() % count
  const ids = Array.from({ length: 6 }, (_, i) => `id-${i}` as TopicId)
  const state = new Map<string, Buffer>()
  let image = MetadataImage.empty()
  const older: [MetadataImage, string][] = []
  for (let revision = 1; revision <= 300; revision++) {
    const events: Event[] = []
    for (let n = pick(4); n >= 0; n--) {
      const id = ids[pick(ids.length)]
      const record = { name: `name-${id}`, partitionCount: 1 + pick(4), internal: false }
      const made = [
        put(keys.topic(id), encodeRecord(record)),
        partition(id, pick(4), { leaderEpoch: revision, partitionEpoch: revision }),
        config(`name-${pick(6)}`, { 'retention.ms': String(pick(3)) }),
        { delete: keys.config('topic', `name-${pick(6)}`) },
      ]
      events.push(...(pick(6) === 0 ? deletionOf(id, record.name, 4) : [made[pick(made.length)]]))
    }
    for (const event of events) {
      if ('put' in event) state.set(event.put.key, event.put.value as Buffer)
      else state.delete(event.delete)
    }
    const step = image.apply(revision, events)
    const whole = MetadataImage.empty().apply(
      revision,
      [...state].map(([key, value]) => put(key, value)),
    ).image
    assert.equal(shown(step.image), shown(whole))
    // What a load after a gap would tell is what was told.
    const compared = whole.since(image)
    const told = step.delta
    assert.deepEqual(sortedIds(compared.createdTopics), sortedIds(told.createdTopics))
    assert.deepEqual(sortedIds(compared.deletedTopics), sortedIds(told.deletedTopics))
    assert.deepEqual(
      compared.changedPartitions.map(({ topic, index }) => `${topic.id}/${index}`).sort(),
      told.changedPartitions.map(({ topic, index }) => `${topic.id}/${index}`).sort(),
    )
    for (const resource of compared.changedConfigs) {
      assert.ok(told.changedConfigs.some(({ type, name }) => type === resource.type && name === resource.name))
    }
    image = step.image
    if (revision % 50 === 0) older.push([image, shown(image)])
  }
  for (const [old, before] of older) assert.equal(shown(old), before)
})

const sortedIds = (topics: readonly { id: string }[]) => topics.map(({ id }) => id).sort()

function shown(image: MetadataImage): string {
  const topics = image.topics().sort((a, b) => (a.id < b.id ? -1 : 1))
  for (const { id, name } of topics) assert.equal(image.topic(name)?.id, id)
  return JSON.stringify([
    topics,
    image
      .configuredResources('topic')
      .sort()
      .map((name) => [name, [...image.config('topic', name)]]),
  ])
}
