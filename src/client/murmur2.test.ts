import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { seededRandom } from '../host/random.ts'
import { murmur2 } from './murmur2.ts'
import { partitionOfKey } from './partitioner.ts'

// Java: org.apache.kafka.common.utils.Utils.murmur2, by its own test.
const java: readonly [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

test('murmur2 gives the values that Java gives', () => {
  for (const [key, hash] of java) assert.equal(murmur2(Buffer.from(key)), hash, key)
})

test('murmur2 agrees with kafkajs on keys of every length', () => {
  const theirs = createRequire(import.meta.url)('kafkajs/src/producer/partitioners/default/murmur2.js') as (key: Buffer) => number
  const random = seededRandom(7)
  for (let length = 0; length < 200; length++) {
    const key = random.bytes(length)
    assert.equal(murmur2(key), theirs(key) | 0, key.toString('hex'))
  }
})

test('a negative hash still names a partition', () => {
  assert.equal(partitionOfKey(Buffer.from('21'), 3), (-973932308 & 0x7fffffff) % 3)
})
