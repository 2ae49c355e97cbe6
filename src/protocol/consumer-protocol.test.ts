import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { DecodeError } from '../bytes/reader.ts'
import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription } from './consumer-protocol.ts'

const require = createRequire(import.meta.url)
const { MemberMetadata, MemberAssignment } = require('kafkajs/src/consumer/assignerProtocol')

const subscription = {
  topics: ['a', 'b'],
  userData: Buffer.from('u'),
  ownedPartitions: [{ topic: 'a', partitions: [1, 2] }],
  generationId: 5,
  rackId: 'r',
}
const assignment = { assignedPartitions: [{ topic: 'a', partitions: [1, 2] }], userData: null }

test('each version of a subscription adds to the one before', () => {
  const { topics, userData, ownedPartitions, generationId } = subscription
  const first = { topics, userData, ownedPartitions: [], generationId: -1, rackId: null }
  assert.deepEqual(decodeSubscription(encodeSubscription(subscription, 0)), first)
  assert.deepEqual(decodeSubscription(encodeSubscription(subscription, 1)), { ...first, ownedPartitions })
  assert.deepEqual(decodeSubscription(encodeSubscription(subscription, 2)), { ...first, ownedPartitions, generationId })
  assert.deepEqual(decodeSubscription(encodeSubscription(subscription)), subscription)
})

test('a version from the future is read as the newest that is known', () => {
  for (const version of [4, 0x7fff]) {
    const future = Buffer.concat([encodeSubscription(subscription), Buffer.from('more')])
    future.writeInt16BE(version)
    assert.deepEqual(decodeSubscription(future), subscription)
    const futureAssignment = Buffer.concat([encodeAssignment(assignment), Buffer.from('more')])
    futureAssignment.writeInt16BE(version)
    assert.deepEqual(decodeAssignment(futureAssignment), assignment)
  }
})

test('a negative version, bytes cut short, and no bytes at all are DecodeErrors', () => {
  const negative = encodeSubscription(subscription)
  negative.writeInt16BE(-1)
  assert.throws(() => decodeSubscription(negative), DecodeError)
  for (const [bytes, decode] of [
    [encodeSubscription(subscription), decodeSubscription],
    [encodeAssignment(assignment), decodeAssignment],
  ] as const) {
    for (let length = 0; length < bytes.length; length++) assert.throws(() => decode(bytes.subarray(0, length)), DecodeError)
  }
})

test('KafkaJS and we understand each other', () => {
  const theirs: Buffer = MemberMetadata.encode({ version: 1, topics: ['a'], userData: Buffer.from('u') })
  // They claim version 1 without its field, which Kafka refuses too: consumers of KafkaJS say 0.
  assert.throws(() => decodeSubscription(theirs), DecodeError)
  theirs.writeInt16BE(0)
  assert.deepEqual(decodeSubscription(theirs).topics, ['a'])
  assert.deepEqual(MemberMetadata.decode(encodeSubscription(subscription, 0)).topics, ['a', 'b'])

  const theirAssignment: Buffer = MemberAssignment.encode({ version: 0, assignment: { a: [1, 2] }, userData: Buffer.alloc(0) })
  assert.deepEqual(decodeAssignment(theirAssignment).assignedPartitions, assignment.assignedPartitions)
  assert.deepEqual(MemberAssignment.decode(encodeAssignment({ ...assignment, userData: Buffer.alloc(0) }, 0)).assignment, {
    a: [1, 2],
  })
})
