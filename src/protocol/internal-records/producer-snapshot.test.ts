import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError } from '../../bytes/reader.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts'

const entry = {
  producerId: 4000n,
  epoch: 2,
  lastSequence: 9,
  lastOffset: 100n,
  offsetDelta: 4,
  timestamp: 1000n,
  coordinatorEpoch: -1,
  currentTxnFirstOffset: -1n,
}

test('a snapshot reads back as what was written', () => {
  for (const entries of [[], [entry, { ...entry, producerId: 4001n }]]) {
    assert.deepEqual(decodeProducerSnapshot(encodeProducerSnapshot(entries)), entries)
  }
})

test('a snapshot is a version, a checksum, a count and 46 bytes for each producer', () => {
  const file = encodeProducerSnapshot([entry])
  assert.equal(file.length, 10 + 46)
  assert.equal(file.readInt16BE(), 1)
  assert.equal(file.readInt32BE(6), 1)
  // CRC-32C of the four bytes of an empty table.
  assert.equal(encodeProducerSnapshot([]).readUInt32BE(2), 0x48674bc7)
})

test('a snapshot that is torn, changed or of another version is a DecodeError', () => {
  const file = encodeProducerSnapshot([entry])
  for (let length = 0; length < file.length; length++) {
    assert.throws(() => decodeProducerSnapshot(file.subarray(0, length)), DecodeError)
  }
  for (let at = 0; at < file.length; at++) {
    const changed = Buffer.from(file)
    changed[at] ^= 1
    assert.throws(() => decodeProducerSnapshot(changed), DecodeError, `byte ${at}`)
  }
})
