import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

test('every primitive survives being the one that makes the buffer grow', () => {
  const written: [string, unknown][] = [
    ['int8', -2],
    ['uint8', 254],
    ['bool', true],
    ['int16', -2],
    ['uint16', 65534],
    ['int32', -2],
    ['uint32', 4294967294],
    ['int64', -2n],
    ['float64', 0.1],
    ['unsignedVarint', 300],
    ['varint', -300],
    ['varlong', -(2n ** 62n)],
  ]
  for (const [method, value] of written) {
    const writer = new Writer(1) as unknown as Record<string, (value: unknown) => void> & Writer
    writer.uint8(7)
    writer[method](value)
    const reader = new Reader(writer.toBuffer()) as unknown as Record<string, () => unknown>
    assert.equal(reader.uint8(), 7)
    assert.equal(reader[method](), value, method)
  }
})

test('an int64 keeps its value at both ends of its range, and nothing beyond is written', () => {
  for (const value of [-(2n ** 63n), -1n, 0n, 2n ** 32n, 2n ** 63n - 1n]) {
    const writer = new Writer()
    writer.int64(value)
    assert.equal(new Reader(writer.toBuffer()).int64(), value)
  }
  assert.throws(() => new Writer().int64(2n ** 63n), RangeError)
})

test('small byte strings are copied, large ones linked, and all come out in order', () => {
  const large = Buffer.alloc(5000, 'L')
  const writer = new Writer(8)
  writer.int32(1)
  writer.bytes(Buffer.from('small'))
  writer.bytes(large)
  writer.bytes(large)
  writer.int8(2)
  assert.equal(writer.length, 4 + 5 + 10_000 + 1)
  const chunks = writer.finish()
  assert.equal(chunks.length, 4)
  assert.equal(chunks[1], large)
  assert.equal(chunks[2], large)
  assert.equal(Buffer.concat(chunks).toString('latin1'), `\0\0\0\x01small${'L'.repeat(10_000)}\x02`)
})

test('what is copied stays in one piece however large it is', () => {
  const writer = new Writer(8)
  writer.copy(Buffer.alloc(5000, 'L'))
  assert.equal(writer.finish().length, 1)
})

test('growing keeps what was written before and after a link', () => {
  const writer = new Writer(4)
  const expected: Buffer[] = []
  for (let i = 0; i < 500; i++) {
    const bytes = Buffer.alloc(i % 50 === 49 ? 2000 : i % 7, i)
    writer.bytes(bytes)
    writer.int32(i)
    const number = Buffer.alloc(4)
    number.writeInt32BE(i)
    expected.push(bytes, number)
  }
  assert.equal(writer.length, Buffer.concat(expected).length)
  assert.deepEqual(writer.toBuffer(), Buffer.concat(expected))
})

test('a frame begins with its length, wherever its bytes come from', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('small'), Buffer.alloc(3000)]) {
    const writer = new Writer()
    writer.int32(0)
    writer.bytes(bytes)
    const frame = Buffer.concat(writer.finishFrame())
    assert.equal(frame.readInt32BE(0), frame.length - 4)
    assert.equal(frame.length, 4 + bytes.length)
  }
})

test('text of any length and alphabet is written as UTF-8', () => {
  for (const text of ['', 'topic', 'sixteen letters!', 'one more than 16!', 'größe', '日本語', 'a\u{1f600}b', 'x'.repeat(1000)]) {
    const writer = new Writer(1)
    writer.utf8(text, Buffer.byteLength(text))
    assert.equal(writer.toBuffer().toString(), text)
  }
})
