// DeleteRecords in a cluster: it is done when no living replica has the records any more.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { assertError, batchOf } from '../../test/conformance/requests.ts'
import { eventually } from '../../test/support/eventually.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { Fetch } from '../protocol/messages/01-fetch.ts'
import { CreateTopics } from '../protocol/messages/19-create-topics.ts'
import { DeleteRecords } from '../protocol/messages/21-delete-records.ts'
import { startCluster } from './start-cluster.ts'

test('records are deleted when all replicas that live have deleted them, and not before', async () => {
  await using cluster = await startCluster({ brokers: 3, config: { 'replica.lag.time.max.ms': '60000' } })
  using any = await RawClient.connect(cluster.broker(1).address)
  const topic = { name: 'events', numPartitions: 1, replicationFactor: 3, assignments: [], configs: [] }
  assertError((await any.request(CreateTopics, 7, { topics: [topic], timeoutMs: 10_000 })).topics[0]!.errorCode, 'NONE')
  const { leader, replicas } = cluster.partition('events', 0)!
  const [slow] = replicas.filter((id) => id !== leader)
  using client = await RawClient.connect(cluster.broker(leader).address)
  for (let i = 0; i < 3; i++) {
    const partitionData = [{ index: 0, records: batchOf(['a', 'b', 'c']) }]
    const topicData = [{ name: 'events', partitionData }]
    const { responses } = await client.request(Produce, 12, { acks: -1, timeoutMs: 10_000, topicData })
    assertError(responses[0]!.partitionResponses[0]!.errorCode, 'NONE')
  }
  const deleteTo = async (offset: bigint, timeoutMs: number) => {
    const topics = [{ name: 'events', partitions: [{ partitionIndex: 0, offset }] }]
    return (await client.request(DeleteRecords, 2, { topics, timeoutMs })).topics[0]!.partitions[0]!
  }

  const deleted = await deleteTo(3n, 5_000)
  assertError(deleted.errorCode, 'NONE')
  assert.equal(deleted.lowWatermark, 3n)
  for (const { address } of cluster.brokers) {
    using one = await RawClient.connect(address)
    const fetch = async (fetchOffset: bigint) => {
      const topics = [{ topic: 'events', partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1000 }] }]
      const { responses } = await one.request(Fetch, 12, { maxWaitMs: 0, minBytes: 1, topics, forgottenTopicsData: [] })
      return responses[0]!.partitions[0]!
    }
    assertError((await fetch(2n)).errorCode, 'OFFSET_OUT_OF_RANGE')
    assert.equal((await fetch(3n)).logStartOffset, 3n)
  }

  // As long as it may come back any moment, it is waited for; once it is fenced, it is not.
  cluster.broker(slow!).pause()
  assertError((await deleteTo(6n, 100)).errorCode, 'REQUEST_TIMED_OUT')
  await eventually(async () => assertError((await deleteTo(6n, 1_000)).errorCode, 'NONE'))
  cluster.broker(slow!).resume()
  assertError((await deleteTo(100n, 100)).errorCode, 'OFFSET_OUT_OF_RANGE')
})
