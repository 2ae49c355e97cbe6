import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../host/random.ts'
import type { TopicMetadata } from './metadata.ts'
import { DefaultPartitioner } from './partitioner.ts'

function topic(leaders: readonly number[]): TopicMetadata {
  const partitions = leaders.map((leaderId, index) => {
    return { index, error: 'NONE' as const, leaderId, leaderEpoch: 0, replicas: [1], isr: [1], offlineReplicas: [] }
  })
  return { name: 't', topicId: '', isInternal: false, partitions, authorizedOperations: 0 }
}

test('records without a key stay in one partition until its batch is full, then move to another', () => {
  const partitioner = new DefaultPartitioner(seededRandom(1))
  const three = topic([1, 1, 1])
  let current = partitioner.partition(three, null)
  const seen = new Set([current])
  for (let round = 0; round < 50; round++) {
    assert.equal(partitioner.partition(three, null), current)
    partitioner.batchFilled(three, current)
    const next = partitioner.partition(three, null)
    assert.notEqual(next, current)
    seen.add(next)
    current = next
  }
  assert.equal(seen.size, 3)
})

test('records without a key avoid partitions without a leader', () => {
  const partitioner = new DefaultPartitioner(seededRandom(1))
  const half = topic([-1, 1, -1])
  for (let i = 0; i < 20; i++) {
    const partition = partitioner.partition(half, null)
    assert.equal(partition, 1)
    partitioner.batchFilled(half, partition)
  }
})

test('a key keeps its partition, with a leader or without', () => {
  const partitioner = new DefaultPartitioner(seededRandom(1))
  const key = Buffer.from('user1')
  assert.equal(partitioner.partition(topic([1, 1, 1]), key), partitioner.partition(topic([-1, -1, -1]), key))
})
