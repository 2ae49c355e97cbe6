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
