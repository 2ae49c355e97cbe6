import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { bytes, type Codec, json, nullable, type SerializationContext, string } from './serializers.ts'
import { issuesText, type StandardSchema } from './standard-schema.ts'

const context: SerializationContext = { topic: 'orders', isKey: false, headers: [] }

function roundTrip<T>(codec: Codec<T>, value: T): T | Promise<T> {
  return codec.deserialize(codec.serialize(value, context) as Buffer | null, context)
}

const Order = z.object({ id: z.string(), items: z.array(z.object({ price: z.number() })), at: z.coerce.date().optional() })

test('strings, bytes and JSON come back as they went', () => {
  assert.equal(roundTrip(string(), 'žluťoučký'), 'žluťoučký')
  assert.deepEqual(roundTrip(bytes() as Codec<Buffer>, Buffer.from([0, 255])), Buffer.from([0, 255]))
  assert.deepEqual(roundTrip(json<{ a: number[] }>(), { a: [1] }), { a: [1] })
})

test('a tombstone is refused by every codec, and let through by nullable', () => {
  for (const codec of [string(), bytes(), json()] as Codec<unknown>[]) {
    assert.throws(() => codec.deserialize(null, context), /it is null; nullable/)
  }
  assert.equal(roundTrip(nullable(string()), null), null)
  assert.equal(roundTrip(nullable(string()), 'x'), 'x')
})

test('what is of another type is refused before it is sent', () => {
  assert.throws(() => string().serialize(5 as never, context), /a string is meant, not number/)
  assert.throws(() => bytes().serialize('x' as never, context), /bytes are meant, not string/)
  assert.throws(() => json().serialize(undefined, context), /undefined has no form in JSON/)
})

test('a schema of a Standard Schema library names the field that does not fit, on both sides', () => {
  const wrong = { id: 'a', items: [{ price: 1 }, { price: 'two' }] }
  const codec = json(Order)
  assert.throws(() => codec.serialize(wrong as never, context), /items\[1\]\.price: .*number/)
  assert.throws(() => codec.deserialize(Buffer.from(JSON.stringify(wrong)), context), /items\[1\]\.price: .*number/)
})

test('the consumer gets what the schema makes of a value', async () => {
  const written = json(Order).serialize({ id: 'a', items: [], at: '2026-01-02T00:00:00Z' }, context) as Buffer
  const read = await json(Order).deserialize(written, context)
  assert.equal(read.at?.getUTCFullYear(), 2026)
})

test('a schema may take its time', async () => {
  const schema: StandardSchema<string> = {
    '~standard': {
      version: 1,
      vendor: 'here',
      validate: async (value) => (typeof value === 'string' ? { value } : { issues: [{ message: 'not a string' }] }),
    },
  }
  assert.equal(await json(schema).deserialize(Buffer.from('"x"'), context), 'x')
  await assert.rejects(async () => json(schema).serialize(1 as never, context), /not a string/)
})

test('issues are told with their paths, whatever form these have', () => {
  const issues = [{ message: 'no', path: ['a', 0, { key: 'b' }, Symbol('c')] }, { message: 'neither' }]
  assert.equal(issuesText(issues), 'a[0].b.Symbol(c): no; neither')
})
