// Section A of Kafka's subtleties: frames, versions, the connection and the order on it. The numbers are those of the rules.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Writer } from '../../src/bytes/writer.ts'
import { encodeRequestHeader } from '../../src/protocol/headers.ts'
import { Fetch } from '../../src/protocol/messages/01-fetch.ts'
import { Metadata } from '../../src/protocol/messages/03-metadata.ts'
import { FindCoordinator } from '../../src/protocol/messages/10-find-coordinator.ts'
import { ApiVersions } from '../../src/protocol/messages/18-api-versions.ts'
import { DescribeConfigs } from '../../src/protocol/messages/32-describe-configs.ts'
import { DescribeCluster } from '../../src/protocol/messages/60-describe-cluster.ts'
import { freePorts } from '../interop/apache-kafka.ts'
import { againstKafka } from '../support/broker-process.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { ConnectionClosed, RawClient } from './raw-client.ts'
import {
  assertError,
  coordinatorReady,
  createTopic,
  fetchRequest,
  metadataOf,
  produced,
  uniqueName,
  valuesIn,
} from './requests.ts'

let broker: BrokerUnderTest
before(async () => {
  broker = await startBrokerUnderTest()
})
after(() => broker?.close())

const connect = (clientId?: string | null) => RawClient.connect(broker.bootstrapServers, { clientId })
const SOFTWARE = { clientSoftwareName: 'conformance', clientSoftwareVersion: '1.0' }

/** A request header as bytes: key, version, correlation id, an int16 of client id, and what the version wants behind it. */
function header(apiKey: number, version: number, correlationId: number, clientId: string | null, tags = ''): Buffer {
  const writer = new Writer()
  writer.int16(apiKey)
  writer.int16(version)
  writer.int32(correlationId)
  writer.int16(clientId === null ? -1 : clientId.length)
  if (clientId !== null) writer.utf8(clientId, clientId.length)
  return Buffer.concat([writer.toBuffer(), Buffer.from(tags, 'hex')])
}

test('ApiVersions answers with the oldest response header in every version, other flexible answers have a tag section', async () => {
  // 1, 9
  using client = await connect()
  for (const version of [0, 1, 2, 3, 4]) {
    const sent = client.send(ApiVersions, version, SOFTWARE)
    const frame = await client.frame()
    assert.equal(frame.readInt32BE(0), sent.correlationId)
    assert.equal(frame.readInt16BE(4), 0, 'the error code follows the correlation id at once')
  }
  client.send(Metadata, 9, { topics: [] })
  const frame = await client.frame()
  assert.equal(frame.readUInt8(4), 0, 'no tags in the header')
  assert.equal(frame.readInt32BE(5), 0, 'then the throttle time')
})

test('an ApiVersions from the future is answered in version 0 with the versions to choose from, on the same connection', async () => {
  // 2
  using client = await connect()
  for (const [version, body] of [
    [99, 'deadbeef'],
    [5, ''],
    [32767, '00'.repeat(40)],
  ] as const) {
    client.sendFrame(Buffer.concat([header(18, version, 7, 'someone', '00'), Buffer.from(body, 'hex')]))
    const { errorCode, apiKeys } = await client.answer({ api: ApiVersions, version: 0, correlationId: 7 })
    assertError(errorCode, 'UNSUPPORTED_VERSION')
    assert.deepEqual(apiKeys, [{ apiKey: 18, minVersion: 0, maxVersion: 4 }])
  }
  assertError((await client.request(ApiVersions, 4, SOFTWARE)).errorCode, 'NONE')
})

test('a key or version that is not served closes the connection without an answer', async () => {
  // 3
  for (const [key, version] of [
    [999, 0],
    [-1, 0],
    [4, 0],
    [7, 0],
    [0, 2],
    [0, 14],
    [1, 3],
    [3, 99],
    [3, -1],
  ] as const) {
    using client = await connect()
    client.sendFrame(header(key, version, 1, 'someone', '0000000000'))
    await client.closedByBroker()
  }
})

test('ApiVersions from version 3 on refuses names of software that could not be written into a metric', async () => {
  // 4
  using client = await connect()
  const ask = async (clientSoftwareName: string, clientSoftwareVersion: string, version = 3) =>
    (await client.request(ApiVersions, version, { clientSoftwareName, clientSoftwareVersion })).errorCode
  for (const good of ['a', 'apache-kafka-java', '2.0.2', 'a--b..c']) {
    assertError(await ask(good, '1'), 'NONE', good)
    assertError(await ask('x', good), 'NONE', good)
  }
  for (const bad of ['', '-a', 'a-', '.', 'a b', 'a_b', 'č', 'a\n']) {
    assertError(await ask(bad, '1'), 'INVALID_REQUEST', bad)
    assertError(await ask('x', bad, 4), 'INVALID_REQUEST', bad)
  }
})

test('the announced ranges hold every version by which older clients recognise what a broker can do', async () => {
  // 6, 106
  using client = await connect()
  const { apiKeys } = await client.request(ApiVersions, 0, SOFTWARE)
  const ranges = new Map(apiKeys.map((entry) => [entry.apiKey, entry]))
  const needed: Record<string, readonly [key: number, ...versions: number[]]> = {
    'librdkafka compresses at all with Produce 0, with zstd by 7': [0, 0, 3, 7],
    'librdkafka takes batches of format v2 from Fetch 4, zstd from 10': [1, 4, 10],
    'librdkafka looks up offsets by time with ListOffsets 1': [2, 1],
    'kafka-python begins with Metadata 0': [3, 0, 5],
    'librdkafka commits with OffsetCommit 2': [8, 2],
    'kafka-python and librdkafka read offsets with OffsetFetch 1': [9, 1],
    'librdkafka finds coordinators with FindCoordinator 0': [10, 0],
    'librdkafka balances groups with JoinGroup 0': [11, 0],
    'and Heartbeat 0': [12, 0],
    'and LeaveGroup 0': [13, 0],
    'and SyncGroup 0': [14, 0],
    'librdkafka produces idempotently with InitProducerId 0': [22, 0],
  }
  for (const [reason, [key, ...versions]] of Object.entries(needed)) {
    const range = ranges.get(key)
    assert.ok(range !== undefined, reason)
    for (const version of versions) assert.ok(version >= range.minVersion && version <= range.maxVersion, reason)
  }
})

test('features of which nothing is supported or finalised are not listed to clients that could not read them', async () => {
  // 7
  using client = await connect()
  const { supportedFeatures, finalizedFeatures, finalizedFeaturesEpoch } = await client.request(ApiVersions, 3, SOFTWARE)
  for (const feature of supportedFeatures) assert.ok(feature.minVersion > 0, feature.name)
  for (const feature of finalizedFeatures) assert.ok(feature.maxVersionLevel > 0, feature.name)
  assert.ok(finalizedFeaturesEpoch >= -1n)
})

test('what is switched off is not announced: telemetry without a receiver', async () => {
  // 8
  using client = await connect()
  const { apiKeys } = await client.request(ApiVersions, 4, SOFTWARE)
  for (const key of [71, 72]) assert.ok(!apiKeys.some(({ apiKey }) => apiKey === key), `${key}`)
})

test('the client id is a plain string of int16 length even in flexible headers, and may be null', async () => {
  // 9
  using client = await connect()
  for (const clientId of ['someone', '', null]) {
    client.sendFrame(Buffer.concat([header(3, 9, 5, clientId, '00'), Buffer.from('01' + '01' + '00' + '00' + '00', 'hex')]))
    const { topics } = await client.answer({ api: Metadata, version: 9, correlationId: 5 })
    assert.deepEqual(topics, [])
  }
})

test('unknown tagged fields are skipped in the header and at every depth of the body', async () => {
  // 10
  using client = await connect()
  const topic = await createTopic(client)
  const name = Buffer.from(topic.name).toString('hex')
  const compactName = (topic.name.length + 1).toString(16).padStart(2, '0') + name
  const unknown = '026403aabbcce90700' // two of them: tag 100 with three bytes, tag 1001 with none
  const body = `02${compactName}${unknown}010000${unknown}`
  client.sendFrame(Buffer.concat([header(3, 9, 9, 'someone', unknown), Buffer.from(body, 'hex')]))
  const { topics } = await client.answer({ api: Metadata, version: 9, correlationId: 9 })
  assert.deepEqual(
    topics.map(({ errorCode, name }) => ({ errorCode, name })),
    [{ errorCode: 0, name: topic.name }],
  )
})

test('Metadata: null asks for all topics and an empty list for none, but in version 0 the empty list asks for all', async () => {
  // 11
  using client = await connect()
  const { name } = await createTopic(client)
  const names = async (version: number, topics: [] | null) =>
    (await client.request(Metadata, version, { topics })).topics.map((topic) => topic.name)
  for (const version of [1, 5, 9, 12, 13]) {
    assert.ok((await names(version, null)).includes(name))
    assert.deepEqual(await names(version, []), [])
  }
  assert.ok((await names(0, [])).includes(name))
})

test('DescribeConfigs: null and empty keys both ask for all, named keys for these', async () => {
  // 11
  using client = await connect()
  const { name } = await createTopic(client)
  const keys = async (configurationKeys: string[] | null) => {
    const resources = [{ resourceType: 2, resourceName: name, configurationKeys }]
    return (await client.request(DescribeConfigs, 4, { resources })).results[0]!.configs.map((config) => config.name)
  }
  assert.ok((await keys(null)).length > 20)
  assert.ok((await keys([])).length > 20)
  assert.deepEqual(await keys(['retention.ms', 'no.such.key']), ['retention.ms'])
})

test('a frame of negative or enormous length closes the connection', async () => {
  // 12
  for (const length of [-1, -0x80000000, 0x7fffffff, 100 * 1024 * 1024 + 1]) {
    using client = await connect()
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(length)
    client.sendBytes(prefix)
    await client.closedByBroker()
  }
})

test('a body that cannot be read closes the connection, it is not answered with an error', async () => {
  // 12
  for (const body of ['', '7fffffff', '00000001', '000000010005616263']) {
    using client = await connect()
    client.sendFrame(Buffer.concat([header(3, 1, 1, 'someone'), Buffer.from(body, 'hex')]))
    await client.closedByBroker()
  }
  for (const frame of ['', '00', '0003', '00030001000000']) {
    using client = await connect()
    client.sendFrame(Buffer.from(frame, 'hex'))
    await client.closedByBroker()
  }
})

test('a parked fetch holds the requests behind it, and answers come in the order of the requests', async () => {
  // 13
  using client = await connect()
  using other = await connect()
  const topic = await createTopic(other)
  const fetch = client.send(Fetch, 12, fetchRequest(topic, 0n, { maxWaitMs: 30_000 }))
  const versions = client.send(ApiVersions, 0, SOFTWARE)
  const metadata = client.send(Metadata, 9, { topics: [] })
  await produced(other, topic, ['wakes the fetch'])
  const [response] = (await client.answer(fetch)).responses
  assert.deepEqual(valuesIn(response!.partitions[0]!.records), ['wakes the fetch'])
  await client.answer(versions)
  await client.answer(metadata)
})

test('requests that arrive in one packet, and one that arrives byte by byte, are all answered in order', async () => {
  // 13
  using client = await connect()
  const request = (correlationId: number) => {
    const writer = new Writer()
    writer.int32(0)
    encodeRequestHeader(writer, ApiVersions, 0, correlationId, 'someone')
    return Buffer.concat(writer.finishFrame())
  }
  const correlationIds = Array.from({ length: 50 }, (_, i) => i)
  client.sendBytes(Buffer.concat(correlationIds.map(request)))
  for (const correlationId of correlationIds) await client.answer({ api: ApiVersions, version: 0, correlationId })
  for (const byte of request(50)) client.sendBytes(Buffer.from([byte]))
  await client.answer({ api: ApiVersions, version: 0, correlationId: 50 })
})

test('a connection over which nothing goes for connections.max.idle.ms is closed', async () => {
  // 14
  const impatient = await startBrokerUnderTest({ 'connections.max.idle.ms': '200' })
  try {
    using silent = await RawClient.connect(impatient.bootstrapServers)
    using spoke = await RawClient.connect(impatient.bootstrapServers)
    await spoke.request(ApiVersions, 0, SOFTWARE)
    await Promise.all([silent.closedByBroker(), spoke.closedByBroker()])
    await assert.rejects(spoke.frame(), ConnectionClosed)
  } finally {
    await impatient.close()
  }
})

test('brokers are named with the address of the listener that the question came in on', async () => {
  // 15
  const [inside, outside] = await freePorts(2)
  const listeners = `PLAINTEXT://127.0.0.1:${inside},OUTSIDE://127.0.0.1:${outside}`
  const ours = { listeners, 'advertised.listeners': 'PLAINTEXT://inside:1111,OUTSIDE://outside:2222' }
  const controller = {
    listeners: `${listeners},CONTROLLER://127.0.0.1:${(await freePorts(1))[0]}`,
    'controller.quorum.voters': '',
  }
  if (againstKafka)
    controller['controller.quorum.voters'] = `1@${controller.listeners.slice(controller.listeners.lastIndexOf('/') + 1)}`
  const two = await startBrokerUnderTest({
    ...ours,
    ...(againstKafka ? controller : {}),
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
  })
  try {
    for (const [port, host, advertised] of [
      [inside, 'inside', 1111],
      [outside, 'outside', 2222],
    ] as const) {
      using client = await RawClient.connect(`127.0.0.1:${port}`)
      const address = ({ host, port }: { host: string; port: number }) => `${host}:${port}`
      const expected = `${host}:${advertised}`
      assert.deepEqual((await metadataOf(client, [])).brokers.map(address), [expected])
      const cluster = await client.request(DescribeCluster, 0, { includeClusterAuthorizedOperations: false })
      assert.deepEqual(cluster.brokers.map(address), [expected])
      const group = uniqueName('group')
      await coordinatorReady(client, group)
      assert.equal(address(await client.request(FindCoordinator, 2, { key: group })), expected)
    }
  } finally {
    await two.close()
  }
})
