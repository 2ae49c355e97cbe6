// What brokers ask of each other: nobody else is served it, and what comes inside of it is looked at as closely as what comes by itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { assertError } from '../../test/conformance/requests.ts'
import { encodeRequest } from '../protocol/headers.ts'
import { Metadata } from '../protocol/messages/03-metadata.ts'
import { CreateTopics } from '../protocol/messages/19-create-topics.ts'
import { AlterPartition } from '../protocol/messages/56-alter-partition.ts'
import { Envelope } from '../protocol/messages/58-envelope.ts'
import { BrokerHeartbeat } from '../protocol/messages/63-broker-heartbeat.ts'
import { startCluster } from './start-cluster.ts'

const topicNamed = (name: string) => ({
  topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
  timeoutMs: 10_000,
})
const envelopeOf = (requestData: Buffer) => ({
  requestData,
  requestPrincipal: null,
  clientHostAddress: Buffer.from([127, 0, 0, 1]),
})
const withoutLength = (chunks: readonly Buffer[]) => Buffer.concat(chunks).subarray(4)
const createTopic = withoutLength(encodeRequest(CreateTopics, 7, 1, 'broker-9', topicNamed('forwarded')))

test('where brokers have a listener of their own, clients are not served what brokers ask of each other', async () => {
  await using cluster = await startCluster({
    brokers: 2,
    config: {
      listeners: 'CLIENTS://127.0.0.1:0,BROKERS://127.0.0.1:0',
      'listener.security.protocol.map': 'CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT',
      'inter.broker.listener.name': 'BROKERS',
    },
  })
  for (const { address, id } of cluster.brokers) {
    using client = await RawClient.connect(address)
    const { errorCode } = await client.request(Envelope, 0, envelopeOf(createTopic))
    assertError(errorCode, 'CLUSTER_AUTHORIZATION_FAILED')
    const altered = await client.request(AlterPartition, 3, { brokerId: 1, brokerEpoch: 1n, topics: [] })
    assertError(altered.errorCode, 'CLUSTER_AUTHORIZATION_FAILED')
    const beat = { brokerId: 1, brokerEpoch: 1n, currentMetadataOffset: 1n, wantFence: true, wantShutDown: true }
    assertError((await client.request(BrokerHeartbeat, 1, beat)).errorCode, 'CLUSTER_AUTHORIZATION_FAILED')
    // Between themselves they go on: one of the two has to forward this.
    const { topics } = await client.request(CreateTopics, 7, topicNamed(`through-${id}`))
    assertError(topics[0]!.errorCode, 'NONE')
  }
})

test('an envelope holds one request of an administrator, and nothing else', async () => {
  await using cluster = await startCluster({ brokers: 1 })
  using client = await RawClient.connect(cluster.bootstrapServers)
  const send = async (inside: Buffer) => (await client.request(Envelope, 0, envelopeOf(inside))).errorCode
  for (const hostile of [
    Buffer.alloc(0),
    Buffer.from([0]),
    createTopic.subarray(0, 12),
    Buffer.concat([createTopic.subarray(0, 2), Buffer.alloc(6, 0xff)]),
    withoutLength(encodeRequest(Metadata, 12, 1, 'a-client', { topics: null })),
    withoutLength(encodeRequest(Envelope, 0, 1, 'a-client', envelopeOf(createTopic))),
  ])
    assertError(await send(hostile), 'INVALID_REQUEST')
  assertError(await send(createTopic), 'NONE')
  assert.ok(cluster.partition('forwarded', 0) !== undefined)
})
