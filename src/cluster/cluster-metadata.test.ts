import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerConfig } from '../config/effective.ts'
import { realClock } from '../host/clock.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { seededRandom } from '../host/random.ts'
import { ErrorCode, KafkaError } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/ids.ts'
import { ClusterMetadata, type ClusterMetadataOptions } from './cluster-metadata.ts'
import { ClusterIdError } from './found-cluster.ts'
import { StoreError } from './store/metadata-store.ts'

let seed = 1

const open = (disk: MemoryDisk, options: Partial<ClusterMetadataOptions> = {}) =>
  ClusterMetadata.open({
    disk,
    directory: '/data/metadata',
    clock: realClock,
    random: seededRandom(seed++),
    node: { id: 1, cleanShutdown: true },
    config: new BrokerConfig(),
    ...options,
  })

const topic = (name: string, numPartitions = -1, configs: { name: string; value: string }[] = []) => ({
  name,
  numPartitions,
  replicationFactor: -1,
  assignments: [],
  configs,
})

const setting = (resourceType: number, resourceName: string, name: string, value: string) => ({
  resourceType,
  resourceName,
  configs: [{ name, configOperation: 0, value }],
})

test('a new cluster gets an id and registers its node', async () => {
  const metadata = await open(new MemoryDisk(), {
    node: { id: 7, rack: 'r1', endpoints: [{ name: 'PLAINTEXT', host: 'here', port: 9092, securityProtocol: 'PLAINTEXT' }] },
  })
  assert.match(metadata.clusterId, /^[\w-]{22}$/)
  assert.equal(metadata.image().cluster?.id, metadata.clusterId)
  const [node] = metadata.image().activeBrokers()
  assert.deepEqual([node.id, node.rack, node.epoch, node.endpoints[0].host], [7, 'r1', metadata.brokerEpoch, 'here'])
  await metadata.close()
})

test('the id of a data directory that Kafka formatted is taken over, and no other accepted later', async () => {
  const disk = new MemoryDisk()
  const clusterId = '4L6g3nShT-eMCtK--X86sw'
  const metadata = await open(disk, { clusterId })
  assert.equal(metadata.clusterId, clusterId)
  await metadata.close()
  await assert.rejects(open(disk, { clusterId: 'AAAAAAAAAAAAAAAAAAAAAB' }), ClusterIdError)
  const again = await open(disk)
  assert.equal(again.clusterId, clusterId)
  await again.close()
})

test('everything that was answered is there after kill -9, and the broker epoch has grown', async () => {
  let disk = new MemoryDisk()
  const first = await open(disk)
  await first.createTopics([topic('a', 3, [{ name: 'retention.ms', value: '5' }]), topic('b')])
  await first.createPartitions([{ name: 'b', count: 4, assignments: null }])
  await first.deleteTopics([{ name: 'a', topicId: ZERO_UUID }])
  await first.createTopics([topic('a', 2)])
  await first.incrementalAlterConfigs([setting(2, 'b', 'segment.ms', '9'), setting(4, '', 'log.retention.ms', '7')])
  const before = first.image()
  disk = disk.kill()

  const second = await open(disk)
  assert.equal(second.clusterId, first.clusterId)
  assert.ok(second.brokerEpoch > first.brokerEpoch)
  for (const name of ['a', 'b']) assert.deepEqual(second.image().topic(name), before.topic(name))
  assert.equal(second.image().topicCount, 2)
  assert.equal(second.topicConfig('b').get('segment.ms'), 9)
  assert.equal(second.topicConfig('a').get('retention.ms'), 7)
  await second.close()
})

test('a node that did not stop cleanly leads under new epochs', async () => {
  const disk = new MemoryDisk()
  const first = await open(disk)
  await first.createTopics([topic('a', 2)])
  await first.close()
  const second = await open(disk, { node: { id: 1 } })
  assert.deepEqual(
    second
      .image()
      .topic('a')
      ?.partitions.map(({ leaderEpoch }) => leaderEpoch),
    [1, 1],
  )
  await second.close()
})

test('listeners have the new image before whoever asked is answered', async () => {
  const metadata = await open(new MemoryDisk())
  const seen: string[] = []
  const stop = metadata.onChange((image, delta) => {
    assert.equal(image, metadata.image())
    for (const { name, partitions } of delta.createdTopics) seen.push(`+${name} ${partitions.length}`)
    for (const { name } of delta.deletedTopics) seen.push(`-${name}`)
    for (const { index } of delta.changedPartitions) seen.push(`~${index}`)
    for (const { type, name } of delta.changedConfigs)
      seen.push(`${type} ${name}: ${metadata.topicConfig('a').get('retention.ms')}`)
  })
  await metadata.createTopics([topic('a', 2)])
  assert.deepEqual(seen.splice(0), ['+a 2'])
  await metadata.createPartitions([{ name: 'a', count: 3, assignments: null }])
  assert.deepEqual(seen.splice(0), ['~2'])
  await metadata.incrementalAlterConfigs([setting(4, '', 'log.retention.ms', '7')])
  assert.deepEqual(seen.splice(0), ['broker : 7'])
  await metadata.alterConfigs([{ resourceType: 2, resourceName: 'a', configs: [{ name: 'retention.ms', value: '8' }] }])
  assert.deepEqual(seen.splice(0), ['topic a: 8'])
  await metadata.deleteTopics([{ name: 'a', topicId: ZERO_UUID }])
  assert.deepEqual(seen.splice(0, 1), ['-a'])
  stop()
  await metadata.createTopics([topic('b')])
  assert.ok(!seen.includes('+b 1'))
  await metadata.close()
})

test('configuration objects are the same until something below them changes', async () => {
  const metadata = await open(new MemoryDisk())
  await metadata.createTopics([topic('a'), topic('b')])
  const [a, b, group, broker] = [
    metadata.topicConfig('a'),
    metadata.topicConfig('b'),
    metadata.groupConfig('g'),
    metadata.brokerConfig(),
  ]
  assert.equal(metadata.topicConfig('a'), a)
  assert.equal(metadata.groupConfig('another'), group)
  await metadata.incrementalAlterConfigs([
    setting(2, 'a', 'retention.ms', '5'),
    setting(32, 'g', 'consumer.session.timeout.ms', '50000'),
  ])
  assert.notEqual(metadata.topicConfig('a'), a)
  assert.equal(metadata.topicConfig('b'), b)
  assert.equal(metadata.groupConfig('g').get('consumer.session.timeout.ms'), 50_000)
  assert.equal(metadata.groupConfig('another'), group)
  assert.equal(metadata.brokerConfig(), broker)
  await metadata.incrementalAlterConfigs([setting(4, '1', 'log.retention.ms', '6')])
  assert.notEqual(metadata.topicConfig('b'), b)
  assert.equal(metadata.topicConfig('b').get('retention.ms'), 6)
  assert.equal(metadata.topicConfig('a').get('retention.ms'), 5)
  await metadata.close()
})

test('a topic that is deleted leaves no configuration to the next of its name', async () => {
  const metadata = await open(new MemoryDisk())
  await metadata.createTopics([topic('a', 1, [{ name: 'retention.ms', value: '5' }])])
  assert.equal(metadata.topicConfig('a').get('retention.ms'), 5)
  await metadata.deleteTopics([{ name: 'a', topicId: ZERO_UUID }])
  await metadata.createTopics([topic('a')])
  assert.equal(metadata.topicConfig('a').get('retention.ms'), 604_800_000)
  await metadata.close()
})

test('of many requests for one name at once one succeeds', async () => {
  const metadata = await open(new MemoryDisk())
  const results = await Promise.all(Array.from({ length: 10 }, () => metadata.createTopics([topic('a')])))
  const codes = results.map(([{ errorCode }]) => errorCode).sort((a, b) => a - b)
  assert.deepEqual(codes, [ErrorCode.NONE, ...Array(9).fill(ErrorCode.TOPIC_ALREADY_EXISTS)])
  await metadata.close()
})

test('changes that come at once, to one topic too, are all applied', async () => {
  const metadata = await open(new MemoryDisk())
  await metadata.createTopics([topic('a')])
  await Promise.all([
    ...Array.from({ length: 20 }, (_, i) => metadata.createTopics([topic(`t${i}`, 2)])),
    ...['retention.ms', 'segment.ms', 'flush.ms'].map((key) => metadata.incrementalAlterConfigs([setting(2, 'a', key, '5')])),
    metadata.createPartitions([{ name: 'a', count: 2, assignments: null }]),
    metadata.deleteTopics([{ name: 't0', topicId: ZERO_UUID }]),
    metadata.createTopics([topic('t0', 5)]),
  ])
  assert.deepEqual([...metadata.image().config('topic', 'a').keys()].sort(), ['flush.ms', 'retention.ms', 'segment.ms'])
  assert.equal(metadata.image().topicCount, 21)
  assert.equal(metadata.image().topic('t0')?.partitions.length, 5)
  assert.equal(metadata.image().topic('a')?.partitions.length, 2)
  await metadata.close()
})

test('internal topics are made as the broker wants them, with as many replicas as there are brokers', async () => {
  const config = new BrokerConfig(new Map([['offsets.topic.num.partitions', '5']]))
  const metadata = await open(new MemoryDisk(), { config })
  const results = await Promise.all([
    metadata.createInternalTopic('__consumer_offsets'),
    metadata.createInternalTopic('__consumer_offsets'),
  ])
  assert.deepEqual(
    results.map(({ errorCode }) => errorCode),
    [ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS],
  )
  const offsets = metadata.image().topic('__consumer_offsets')
  assert.deepEqual([offsets?.internal, offsets?.partitions.length, offsets?.partitions[0].replicas], [true, 5, [1]])
  const { overrides } = metadata.topicConfig('__consumer_offsets')
  assert.deepEqual(Object.fromEntries(overrides), {
    'cleanup.policy': 'compact',
    'compression.type': 'producer',
    'segment.bytes': '104857600',
  })
  assert.equal((await metadata.createInternalTopic('__transaction_state')).errorCode, ErrorCode.NONE)
  assert.equal(metadata.topicConfig('__transaction_state').get('min.insync.replicas'), 1)
  await metadata.close()
})

test('producer ids are never given twice, not even after kill -9', async () => {
  let disk = new MemoryDisk()
  const given: bigint[] = []
  for (let life = 0; life < 3; life++) {
    const metadata = await open(disk)
    given.push(...(await Promise.all(Array.from({ length: 1500 }, () => metadata.nextProducerId()))))
    disk = disk.kill()
  }
  assert.equal(new Set(given).size, given.length)
  assert.ok(given.every((id) => id >= 0n))
})

test('metadata that another process has is not opened', async () => {
  const disk = new MemoryDisk()
  const metadata = await open(disk)
  await assert.rejects(open(disk), (error) => error instanceof StoreError && error.reason === 'locked')
  await metadata.close()
  await (await open(disk)).close()
})

test('what comes after the end is refused, and what was under way is finished', async () => {
  const metadata = await open(new MemoryDisk())
  const last = metadata.createTopics([topic('a')])
  await metadata.close()
  assert.equal((await last)[0].errorCode, ErrorCode.NONE)
  await assert.rejects(
    metadata.createTopics([topic('b')]),
    (error) => error instanceof KafkaError && error.code === 'NOT_CONTROLLER',
  )
})
