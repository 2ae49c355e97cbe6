// Reading primitives, above all where they end.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError, Reader } from './reader.ts'
import { unsignedVarintSize, varintSize, varlongSize, Writer } from './writer.ts'

const hex = (text: string) => new Reader(Buffer.from(text, 'hex'))
/** Writes and reads back, and says how many bytes it took. */
function through<T>(value: T, write: (writer: Writer) => void, read: (reader: Reader) => T): number {
  const writer = new Writer()
  write(writer)
  const reader = new Reader(writer.toBuffer())
  assert.equal(read(reader), value)
  assert.equal(reader.remaining, 0)
  return reader.position
}

test('unsigned varints take one byte more for every seven bits', () => {
  for (const [value, size] of [
    [0, 1],
    [1, 1],
    [0x7f, 1],
    [0x80, 2],
    [0x3fff, 2],
    [0x4000, 3],
    [0x1f_ffff, 3],
    [0x20_0000, 4],
    [0xfff_ffff, 4],
    [0x1000_0000, 5],
    [0x7fff_ffff, 5],
    [0xffff_ffff, 5],
  ]) {
    const read = (reader: Reader) => reader.unsignedVarint()
    assert.equal(
      through(value, (writer) => writer.unsignedVarint(value), read),
      size,
    )
    assert.equal(unsignedVarintSize(value), size)
  }
})

test('varints are zigzag: small numbers of either sign are short', () => {
  for (const value of [0, -1, 1, -64, 63, 64, -65, 8191, -8192, 8192, 0x3fff_ffff, -0x4000_0000, 0x7fff_ffff, -0x8000_0000]) {
    const size = through(
      value,
      (writer) => writer.varint(value),
      (reader) => reader.varint(),
    )
    assert.equal(varintSize(value), size)
    assert.equal(varlongSize(BigInt(value)), size)
    assert.equal(
      through(
        BigInt(value),
        (writer) => writer.varlong(BigInt(value)),
        (reader) => reader.varlong(),
      ),
      size,
    )
  }
})

test('varlongs reach to both ends of 64 bits', () => {
  for (let bits = 0n; bits < 64n; bits++) {
    for (const near of [-1n, 0n, 1n]) {
      for (const value of [BigInt.asIntN(64, (1n << bits) + near), BigInt.asIntN(64, -(1n << bits) + near)]) {
        const size = through(
          value,
          (writer) => writer.varlong(value),
          (reader) => reader.varlong(),
        )
        assert.equal(varlongSize(value), size)
      }
    }
  }
  assert.equal(hex('feffffffffffffffff01').varlong(), 2n ** 63n - 1n)
  assert.equal(hex('ffffffffffffffffff01').varlong(), -(2n ** 63n))
})

test('a varint that is longer than its bits is refused, one padded with zeros is not', () => {
  assert.throws(() => hex('ffffffff10').unsignedVarint(), DecodeError)
  assert.throws(() => hex('ffffffffff').unsignedVarint(), DecodeError)
  assert.throws(() => hex('808080808000').unsignedVarint(), DecodeError)
  assert.throws(() => hex('ffffffffffffffffff02').varlong(), DecodeError)
  assert.throws(() => hex('8080808080808080808000').varlong(), DecodeError)
  assert.equal(hex('8080808000').unsignedVarint(), 0)
  assert.equal(hex('80808080808080808000').varlong(), 0n)
})

test('nothing is read beyond the end, be it of the buffer or of the view', () => {
  const reads: ((reader: Reader) => unknown)[] = [
    (reader) => reader.int8(),
    (reader) => reader.uint8(),
    (reader) => reader.bool(),
    (reader) => reader.int16(),
    (reader) => reader.uint16(),
    (reader) => reader.int32(),
    (reader) => reader.uint32(),
    (reader) => reader.int64(),
    (reader) => reader.float64(),
    (reader) => reader.uuid(),
    (reader) => reader.unsignedVarint(),
    (reader) => reader.varint(),
    (reader) => reader.varlong(),
    (reader) => reader.view(1),
    (reader) => reader.utf8(1),
  ]
  const buffer = Buffer.alloc(64, 0x80)
  for (const read of reads) {
    assert.throws(() => read(new Reader(Buffer.alloc(0))), DecodeError)
    assert.throws(() => read(new Reader(buffer, 10, 10)), DecodeError)
  }
  for (const length of [-1, 65, 2 ** 31 - 1, -(2 ** 31)]) {
    assert.throws(() => new Reader(buffer).view(length), DecodeError)
    assert.throws(() => new Reader(buffer).utf8(length), DecodeError)
    assert.throws(() => new Reader(buffer).advance(length), DecodeError)
  }
})

test('a view shares memory with the buffer, text and uuids do not', () => {
  const buffer = Buffer.from('text and more text')
  const reader = new Reader(buffer, 0, 17)
  assert.equal(reader.utf8(4), 'text')
  const view = reader.view(4)
  buffer[5] = 'A'.charCodeAt(0)
  assert.equal(view.toString(), ' And')
  assert.equal(reader.remaining, 9)
})

test('a uuid is read and written in the form that Kafka prints', () => {
  const bytes = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
  assert.equal(new Reader(bytes).uuid(), 'ABEiM0RVZneImaq7zN3u_w')
  const writer = new Writer()
  writer.uuid('ABEiM0RVZneImaq7zN3u_w')
  assert.deepEqual(writer.toBuffer(), bytes)
  assert.throws(() => new Writer().uuid('too short'), RangeError)
})

test('text that is no UTF-8 is read with replacement characters, not refused: topic names are checked elsewhere', () => {
  assert.equal(hex('61ff62').utf8(3), 'a\ufffdb')
})

test('a count is believed only as far as the bytes that are left could hold it', () => {
  const reader = new Reader(Buffer.alloc(100))
  assert.equal(reader.count(25, 4), 25)
  assert.throws(() => reader.count(26, 4), DecodeError)
  assert.throws(() => reader.count(-1, 4), DecodeError)
  assert.throws(() => reader.count(2 ** 31 - 1, 1), DecodeError)
})

test('all arrays of one message together hold a bounded number of elements', () => {
  const reader = new Reader(Buffer.alloc(1_000_000))
  reader.count(1_000_000, 1)
  reader.count(1_000_000, 1)
  assert.throws(() => reader.count(1, 1), /more than 2000000/)
})
