import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerConfig, CONFIG_SOURCE, GroupConfig, TopicConfig } from './effective.ts'
import { findDefinition, nearestKey, unknownKey } from './registry.ts'

const texts = (object: Record<string, string>) => new Map(Object.entries(object))
const only = (config: TopicConfig | BrokerConfig | GroupConfig, name: string) => {
  const { value, source, synonyms } = config.describe([name])[0]
  return { value, source, synonyms: synonyms.map((synonym) => [synonym.name, synonym.value, synonym.source]) }
}

test('a higher layer hides the lower, and describing lists them all, the effective first', () => {
  const broker = new BrokerConfig(
    texts({ 'log.cleanup.policy': 'compact' }),
    texts({ 'log.cleanup.policy': 'delete' }),
    texts({ 'log.cleanup.policy': 'compact,delete' }),
  )
  const topic = new TopicConfig(broker, texts({ 'cleanup.policy': 'delete,compact' }))
  assert.deepEqual(topic.get('cleanup.policy'), ['delete', 'compact'])
  assert.deepEqual(new TopicConfig(broker).get('cleanup.policy'), ['compact', 'delete'])
  assert.deepEqual(only(topic, 'cleanup.policy'), {
    value: 'delete,compact',
    source: CONFIG_SOURCE.topic,
    synonyms: [
      ['cleanup.policy', 'delete,compact', CONFIG_SOURCE.topic],
      ['log.cleanup.policy', 'compact,delete', CONFIG_SOURCE.dynamicBroker],
      ['log.cleanup.policy', 'delete', CONFIG_SOURCE.dynamicDefaultBroker],
      ['log.cleanup.policy', 'compact', CONFIG_SOURCE.staticBroker],
      ['log.cleanup.policy', 'delete', CONFIG_SOURCE.default],
    ],
  })
})

test('the finest spelling of a time counts, and each that is present is a synonym', () => {
  const broker = new BrokerConfig(texts({ 'log.retention.hours': '2', 'log.retention.minutes': '30' }))
  const topic = new TopicConfig(broker)
  assert.equal(topic.get('retention.ms'), 1_800_000)
  assert.deepEqual(only(topic, 'retention.ms'), {
    value: '1800000',
    source: CONFIG_SOURCE.staticBroker,
    synonyms: [
      ['log.retention.minutes', '30', CONFIG_SOURCE.staticBroker],
      ['log.retention.hours', '2', CONFIG_SOURCE.staticBroker],
      ['log.retention.hours', '168', CONFIG_SOURCE.default],
    ],
  })
  const finer = broker.withDynamic(texts({ 'log.retention.ms': '5' }), new Map())
  assert.equal(new TopicConfig(finer).get('retention.ms'), 5)
})

test('no limit in hours is no limit in milliseconds', () => {
  assert.equal(new TopicConfig(new BrokerConfig(texts({ 'log.retention.hours': '-1' }))).get('retention.ms'), -1)
})

test("a topic's untouched keys come from the broker's defaults", () => {
  const topic = new TopicConfig(new BrokerConfig())
  assert.deepEqual(only(topic, 'retention.ms'), {
    value: '604800000',
    source: CONFIG_SOURCE.default,
    synonyms: [['log.retention.hours', '168', CONFIG_SOURCE.default]],
  })
  assert.equal(only(topic, 'flush.messages').value, '9223372036854775807')
  assert.equal(topic.get('max.message.bytes'), 1_048_588)
  assert.deepEqual(only(topic, 'remote.storage.enable'), { value: 'false', source: CONFIG_SOURCE.default, synonyms: [] })
})

test('a broker describes its own keys, and which of them may change while it runs', () => {
  const broker = new BrokerConfig(texts({ 'log.retention.ms': '7' }), texts({ 'log.retention.ms': '8' }))
  assert.deepEqual(only(broker, 'log.retention.ms'), {
    value: '8',
    source: CONFIG_SOURCE.dynamicDefaultBroker,
    synonyms: [
      ['log.retention.ms', '8', CONFIG_SOURCE.dynamicDefaultBroker],
      ['log.retention.ms', '7', CONFIG_SOURCE.staticBroker],
      ['log.retention.hours', '168', CONFIG_SOURCE.default],
    ],
  })
  assert.deepEqual(only(broker, 'log.retention.hours').synonyms, [['log.retention.hours', '168', CONFIG_SOURCE.default]])
  assert.deepEqual(only(broker, 'log.retention.minutes'), { value: null, source: CONFIG_SOURCE.default, synonyms: [] })
  assert.equal(broker.describe(['log.retention.ms'])[0].readOnly, false)
  assert.equal(broker.describe(['num.partitions'])[0].readOnly, true)
})

test('all brokers together describe only what is set for all of them', () => {
  const broker = new BrokerConfig(
    texts({ 'num.partitions': '3' }),
    texts({ 'message.max.bytes': '5' }),
    texts({ 'log.roll.ms': '9' }),
  )
  assert.deepEqual(
    broker.describeDynamicDefaults().map(({ name, value, source }) => [name, value, source]),
    [['message.max.bytes', '5', CONFIG_SOURCE.dynamicDefaultBroker]],
  )
})

test('secrets are described without their values', () => {
  const broker = new BrokerConfig(texts({ 'ssl.key.password': 'geheim' }))
  const { value, synonyms, definition } = broker.describe(['ssl.key.password'])[0]
  assert.deepEqual([value, synonyms[0].value, definition.sensitive], [null, null, true])
})

test('describing goes by name, and leaves out names that are unknown', () => {
  const topic = new TopicConfig(new BrokerConfig())
  const names = topic.describe().map(({ name }) => name)
  assert.deepEqual(names, [...names].sort())
  assert.deepEqual(
    topic.describe(['segment.ms', 'nonsense', 'retention.ms']).map(({ name }) => name),
    ['retention.ms', 'segment.ms'],
  )
  assert.deepEqual(topic.describe([]), [])
})

test("a group's keys fall back to the broker's", () => {
  const broker = new BrokerConfig(texts({ 'group.consumer.session.timeout.ms': '50000' }))
  const group = new GroupConfig(broker, texts({ 'consumer.heartbeat.interval.ms': '6000' }))
  assert.equal(group.get('consumer.session.timeout.ms'), 50_000)
  assert.equal(group.get('consumer.heartbeat.interval.ms'), 6000)
  assert.equal(only(group, 'consumer.heartbeat.interval.ms').source, CONFIG_SOURCE.group)
  assert.equal(only(group, 'consumer.session.timeout.ms').source, CONFIG_SOURCE.staticBroker)
  assert.deepEqual(only(group, 'share.auto.offset.reset'), { value: 'latest', source: CONFIG_SOURCE.default, synonyms: [] })
})

test("a broker's key may carry a listener's prefix", () => {
  assert.equal(findDefinition('broker', 'listener.name.internal.ssl.keystore.location')?.type, 'string')
  assert.equal(findDefinition('broker', 'listener.name.internal.plain.sasl.jaas.config')?.type, 'password')
  assert.equal(findDefinition('broker', 'listener.name.internal.num.partitions'), undefined)
  assert.equal(findDefinition('topic', 'listener.name.internal.ssl.keystore.location'), undefined)
  assert.equal(findDefinition('topic', 'toString'), undefined)
})

test('an unknown key is answered with the nearest known one, however long it is', () => {
  assert.equal(nearestKey('topic', 'retention.hours'), undefined)
  assert.equal(nearestKey('topic', 'retentionms'), 'retention.ms')
  assert.equal(nearestKey('topic', 'cleanup_policy'), 'cleanup.policy')
  assert.equal(nearestKey('topic', 'x'.repeat(1_000_000)), undefined)
  assert.ok(unknownKey('topic', 'x'.repeat(1_000_000)).length < 300)
})
