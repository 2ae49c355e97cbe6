import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import { newPartition } from '../cluster/metadata-records.ts'
import { CoordinatorLeadership } from './coordinator-leadership.ts'

/** An image of `__consumer_offsets`: of each partition the leader and its epoch. */
function imageOf(...partitions: readonly (readonly [leader: number, leaderEpoch: number])[]): MetadataImage {
  const topic = { partitions: partitions.map(([leader, leaderEpoch]) => ({ ...newPartition([1, 2]), leader, leaderEpoch })) }
  return { topic: (name: string) => (name === '__consumer_offsets' ? topic : undefined) } as unknown as MetadataImage
}

function start() {
  const told: string[] = []
  const leadership = new CoordinatorLeadership(
    '__consumer_offsets',
    1,
    {
      load: async (partition, epoch) => {
        told.push(`load ${partition} in ${epoch}`)
        if (epoch === 13) throw new Error('unreadable')
      },
      unload: (partition) => told.push(`unload ${partition}`),
    },
    (partition, error) => told.push(`${partition}: ${(error as Error).message}`),
  )
  return { leadership, said: () => told.splice(0) }
}

test('what a broker leads it coordinates, once for each leader epoch', () => {
  const { leadership, said } = start()
  leadership.follow(imageOf([1, 0], [2, 0], [1, 4]))
  assert.deepEqual(said(), ['load 0 in 0', 'load 2 in 4'])
  leadership.follow(imageOf([1, 0], [2, 1], [1, 4]))
  assert.deepEqual(said(), [])
  leadership.follow(imageOf([1, 1], [2, 1], [1, 4]))
  assert.deepEqual(said(), ['load 0 in 1'])
})

test('what it does not lead any more it gives up, and takes again when it comes back', () => {
  const { leadership, said } = start()
  leadership.follow(imageOf([1, 0], [1, 0]))
  said()
  leadership.follow(imageOf([2, 1], [1, 0]))
  assert.deepEqual(said(), ['unload 0'])
  leadership.follow(imageOf([1, 2], [-1, 1]))
  assert.deepEqual(said(), ['unload 1', 'load 0 in 2'])
  leadership.follow(imageOf())
  assert.deepEqual(said(), ['unload 0'])
})

test('a log that cannot be read is told of', async () => {
  const { leadership, said } = start()
  leadership.follow(imageOf([1, 13]))
  await Promise.resolve()
  assert.deepEqual(said(), ['load 0 in 13', '0: unreadable'])
})
