// Disks that fail under brokers of a cluster: what was led from them is led elsewhere, and what is on other disks goes on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { assertError } from '../../test/conformance/requests.ts'
import { eventually } from '../../test/support/eventually.ts'
import { Metadata } from '../protocol/messages/03-metadata.ts'
import { DescribeLogDirs } from '../protocol/messages/35-describe-log-dirs.ts'
import { startCluster, type TestCluster } from './start-cluster.ts'

const PARTITIONS = 12

const clientOf = (cluster: TestCluster) =>
  new Kafka({
    brokers: cluster.bootstrapServers.split(','),
    logLevel: logLevel.NOTHING,
    retry: { retries: 30, initialRetryTime: 50, maxRetryTime: 500 },
  })

const states = (cluster: TestCluster) => Array.from({ length: PARTITIONS }, (_, index) => cluster.partition('events', index)!)

test('a broker whose disk fails hands over what was on it and keeps the rest; without any disk it stops', async () => {
  await using cluster = await startCluster({ brokers: 3, directories: 2 })
  const kafka = clientOf(cluster)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic: 'events', numPartitions: PARTITIONS, replicationFactor: 3 }],
    waitForLeaders: true,
  })
  const producer = kafka.producer()
  await producer.connect()
  const produceToAll = async () => {
    const messages = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, value: 'x' }))
    await producer.send({ topic: 'events', acks: -1, messages })
  }
  await produceToAll()

  const victim = cluster.broker(2)
  const led = () => states(cluster).filter(({ leader }) => leader === victim.id).length
  const ledBefore = led()
  victim.breakDirectory(1)
  await produceToAll()
  await eventually(() => {
    const out = states(cluster).filter(({ isr }) => !isr.includes(victim.id))
    assert.equal(out.length, PARTITIONS / 2)
  })
  assert.ok(led() > 0 && led() < ledBefore, `${led()} of ${ledBefore} are still led`)
  await produceToAll()

  using client = await RawClient.connect(victim.address)
  const { results } = await client.request(DescribeLogDirs, 4, { topics: null })
  assertError(results[0]!.errorCode, 'NONE')
  assertError(results[1]!.errorCode, 'KAFKA_STORAGE_ERROR')
  await eventually(async () => {
    const { topics } = await client.request(Metadata, 12, { topics: [{ name: 'events' }] })
    const offline = topics[0]!.partitions.filter(({ offlineReplicas }) => offlineReplicas.includes(victim.id))
    assert.equal(offline.length, PARTITIONS / 2)
  })

  // With another disk in its place it has everything again.
  await victim.stop()
  await victim.start()
  await eventually(() => assert.ok(states(cluster).every(({ isr }) => isr.length === 3)))

  victim.breakDirectory(0)
  victim.breakDirectory(1)
  await produceToAll()
  await eventually(() => assert.equal(victim.isRunning, false))
  await eventually(() => assert.equal(led(), 0))
  await produceToAll()
  await producer.disconnect()
  await admin.disconnect()
})
