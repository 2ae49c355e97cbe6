import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError, Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { ZERO_UUID } from './ids.ts'
import {
  array,
  bool,
  bytes,
  type Encodable,
  type Fields,
  int8,
  int32,
  int64,
  type Message,
  message,
  records,
  string,
  struct,
  uuid,
} from './schema.ts'

function encode<F extends Fields>(schema: Message<F>, version: number, value: Encodable<F>): string {
  const writer = new Writer()
  schema.encode(writer, version, value)
  return writer.toBuffer().toString('hex')
}

function decode<F extends Fields>(schema: Message<F>, version: number, hex: string) {
  return schema.decode(new Reader(Buffer.from(hex.replaceAll(' ', ''), 'hex')), version)
}

const Example = message('Example', {
  versions: '0-2',
  flexible: '1+',
  fields: {
    name: string(),
    note: string('0-1').nullable('1+').default('none'),
    items: array({ id: int8(), tag: int32('2+').default(-1).tagged(3, '2+') }).nullable('2+'),
    owner: struct({ id: int64().default(-1n), key: bytes() }, '2+').tagged(0, '2+'),
    on: bool('2+').tagged(1, '2+'),
  },
})

test('a field that a version does not carry reads as its default', () => {
  assert.deepEqual(decode(Example, 0, '0001 61 0001 62 00000000'), {
    name: 'a',
    note: 'b',
    items: [],
    owner: { id: -1n, key: Buffer.alloc(0) },
    on: false,
  })
})

test('lengths are compact in flexible versions, and null is 0 there and -1 before', () => {
  assert.equal(encode(Example, 1, { name: 'a', note: null, items: [{ id: 7 }] }), '0261' + '00' + '02' + '07' + '00' + '00')
  assert.equal(encode(Example, 0, { name: 'a', note: '', items: [{ id: 7 }] }), '000161' + '0000' + '00000001' + '07')
})

test('null where the version allows none is refused both ways', () => {
  assert.throws(() => encode(Example, 0, { name: 'a', note: null, items: [] }), /not nullable/)
  assert.throws(() => decode(Example, 0, '0001 61 ffff 00000000'), DecodeError)
  assert.throws(() => decode(Example, 1, '00'), DecodeError)
  assert.throws(() => decode(Example, 0, 'fffe'), DecodeError)
})

test('tagged fields travel in ascending order, and not at all where they hold their defaults', () => {
  const plain = { name: '', items: null }
  assert.equal(encode(Example, 2, plain), '01' + '00' + '00')
  assert.equal(encode(Example, 2, { ...plain, on: false, owner: { id: -1n, key: Buffer.alloc(0) } }), '01' + '00' + '00')
  assert.equal(
    encode(Example, 2, { ...plain, on: true, owner: { id: 1n, key: Buffer.from([9]) } }),
    '01' + '00' + '02' + '000b' + '0000000000000001' + '0209' + '00' + '0101' + '01',
  )
})

test('unknown tags are passed over at any depth, and tags out of order are read as Kafka reads them', () => {
  const value = decode(Example, 2, '01 02 07 02 09 01 ff 03 04 00000005 03 01 01 01 00 0b 0000000000000001 0209 00 63 00')
  assert.equal(value.items?.[0].tag, 5)
  assert.equal(value.on, true)
  assert.equal(value.owner.id, 1n)
})

test('a tagged field that does not fill its size, or leaves it, is a DecodeError', () => {
  assert.throws(() => decode(Example, 2, '01 00 01 01 02 01 00'), /does not fill/)
  assert.throws(() => decode(Example, 2, '01 00 01 01 00 01'), DecodeError)
  assert.throws(() => decode(Example, 2, '01 00 01 01 7f 01'), DecodeError)
})

test('a nullable struct in a tagged field says by a zero that it is not there', () => {
  const fields = { cursor: struct({ id: int8() }).nullable().tagged(0, '0+') }
  const schema = message('Tagged', { versions: '0', flexible: '0+', fields })
  assert.equal(encode(schema, 0, { cursor: null }), '01' + '00' + '01' + '00')
  assert.equal(encode(schema, 0, { cursor: { id: 3 } }), '01' + '00' + '03' + '01' + '03' + '00')
  assert.deepEqual(decode(schema, 0, '01 00 01 00'), { cursor: null })
  assert.deepEqual(decode(schema, 0, '01 00 03 01 03 00'), { cursor: { id: 3 } })
})

test('a nullable struct says by its first byte whether it is there', () => {
  const schema = message('Cursor', {
    versions: '0',
    flexible: '0+',
    fields: { cursor: struct({ id: int8() }).nullable().default(null) },
  })
  assert.equal(encode(schema, 0, {}), 'ff' + '00')
  assert.equal(encode(schema, 0, { cursor: { id: 3 } }), '01' + '03' + '00' + '00')
  assert.deepEqual(decode(schema, 0, '01 03 00 00'), { cursor: { id: 3 } })
  assert.deepEqual(decode(schema, 0, 'ff 00'), { cursor: null })
})

test('records are encoded from one buffer or from many', () => {
  const schema = message('Records', { versions: '0', flexible: '0+', fields: { records: records().nullable() } })
  const one = Buffer.from([1, 2])
  assert.equal(encode(schema, 0, { records: [one, one] }), '05' + '01020102' + '00')
  assert.equal(encode(schema, 0, { records: one }), '03' + '0102' + '00')
  assert.equal(encode(schema, 0, { records: [] }), '01' + '00')
})

test('a string longer than the protocol carries is refused both ways', () => {
  const long = 'x'.repeat(0x8000)
  assert.throws(() => encode(Example, 2, { name: long, items: null }), RangeError)
  assert.throws(() => decode(Example, 2, `818002${'78'.repeat(0x8000)}0000`), DecodeError)
})

test('an array that claims more elements than there are bytes is refused before anything is made of it', () => {
  assert.throws(() => decode(Example, 0, '0000 0000 7fffffff 01'), /array of 2147483647 elements/)
  assert.throws(() => decode(Example, 2, '01 ffffffff0f 01 00'), DecodeError)
  assert.throws(() => decode(Example, 2, '01 00 ffffffff0f 01 00'), DecodeError)
})

test('a message of more elements than anyone needs is refused, though its bytes would hold them', () => {
  const schema = message('Many', { versions: '0', flexible: '0+', fields: { names: array(string()), more: array(string()) } })
  const half = 1_200_000
  const writer = new Writer(2 * half + 20)
  for (let i = 0; i < 2; i++) {
    writer.unsignedVarint(half + 1)
    writer.bytes(Buffer.alloc(half, 1))
  }
  writer.unsignedVarint(0)
  assert.throws(() => schema.decode(new Reader(writer.toBuffer()), 0), /more than \d+ array elements/)
})

test('a uuid that is not 22 characters of base64url is refused', () => {
  const schema = message('Uuid', { versions: '0', flexible: 'none', fields: { id: uuid() } })
  assert.equal(encode(schema, 0, { id: ZERO_UUID }), '00'.repeat(16))
  assert.throws(() => encode(schema, 0, { id: 'topic-1' }), RangeError)
})
