import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError, Reader } from '../bytes/reader.ts'
import { seededRandom } from '../host/random.ts'
import { apis, apisByKey } from './apis.ts'
import { DescribeGroups } from './messages/15-describe-groups.ts'
import { encode, randomMessage } from './messages.fuzz.ts'
import { type Message, message, string } from './schema.ts'

// A million DecodeErrors are made below: their stacks say nothing.
Error.stackTraceLimit = 0

function* everyVersion(): Generator<[Message, number]> {
  for (const { request, response, versions } of apis) {
    for (let version = versions.min; version <= versions.max; version++) {
      yield [request, version]
      yield [response, version]
    }
  }
}

test('no two APIs share a key, and they stand in its order', () => {
  assert.equal(apisByKey.size, apis.length)
  assert.deepEqual(
    [...apisByKey.keys()],
    [...apisByKey.keys()].sort((a, b) => a - b),
  )
})

test('random values of every message survive encoding and decoding, in every version', () => {
  const random = seededRandom(8)
  for (const [message, version] of everyVersion()) {
    for (let i = 0; i < 5; i++) {
      const value = randomMessage(message, version, random)
      const bytes = encode(message, version, value)
      const reader = new Reader(bytes)
      assert.deepEqual(message.decode(reader, version), value, `${message.name} v${version}`)
      assert.equal(reader.remaining, 0, `${message.name} v${version}`)
      assert.deepEqual(encode(message, version, value), bytes)
    }
  }
})

test('a message cut short anywhere is a DecodeError, in every version', () => {
  const random = seededRandom(9)
  for (const [message, version] of everyVersion()) {
    const bytes = encode(message, version, randomMessage(message, version, random))
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => message.decode(new Reader(bytes, 0, length), version), DecodeError, `${message.name} v${version}`)
    }
  }
})

test('fields that have a default may be left out when encoding', () => {
  const schema = message('Example', {
    versions: '0',
    flexible: 'none',
    fields: { a: string().default('x'), b: string().nullable().default(null) },
  })
  assert.deepEqual(schema.decode(new Reader(encode(schema, 0, {})), 0), { a: 'x', b: null })
})

test('a version outside the range is an error of the caller', () => {
  assert.throws(() => DescribeGroups.request.decode(new Reader(Buffer.alloc(9)), 99), RangeError)
})
