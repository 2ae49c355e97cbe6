import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { type RegistryServer, serveSchemaRegistry } from '../../cli/schema-registry-server.ts'
import { realClock } from '../../host/clock.ts'
import { silentLogger } from '../../host/logger.ts'
import { realRandom } from '../../host/random.ts'
import { realNetwork } from '../../host/real-network.ts'
import { startBroker, type TestBroker } from '../../testing/start-broker.ts'
import { avro } from './avro.ts'
import { jsonSchema } from './json-schema.ts'
import { protobuf } from './protobuf.ts'
import { RegistryClient, RegistryResponseError, RegistryUnreachableError } from './registry-client.ts'
import { SchemaMismatchError } from './registry-codec.ts'
import { decodeIndexes, encodeIndexes, readPrefix, WireFormatError } from './wire-format.ts'

let broker: TestBroker
let server: RegistryServer
let registry: RegistryClient

before(async () => {
  broker = await startBroker()
  const client = { network: realNetwork, clock: realClock, random: realRandom, bootstrapServers: broker.bootstrapServers }
  server = await serveSchemaRegistry({ host: '127.0.0.1', port: 0, advertisedHost: '127.0.0.1', client, logger: silentLogger })
  registry = new RegistryClient({ url: `http://127.0.0.1:${server.port}` })
})

after(async () => {
  await server.close()
  await broker.close()
})

const at = (topic: string) => ({ topic, isKey: false, headers: [] })

const ADDRESS = { type: 'record', name: 'Address', fields: [{ name: 'zip', type: 'string' }] }
const PERSON = {
  type: 'record',
  name: 'Person',
  fields: [
    { name: 'name', type: 'string' },
    { name: 'address', type: ['null', ADDRESS], default: null },
  ],
}

test('Avro goes there and back, behind a zero and the id', async () => {
  const codec = avro<{ name: string; address: { zip: string } | null }>(PERSON, { registry })
  const value = { name: 'Ada', address: { zip: '12345' } }
  const bytes = await codec.serialize(value, at('avro'))
  assert.equal(readPrefix(bytes!).id, (await registry.version('avro-value', 'latest')).id)
  const read = await codec.deserialize(bytes, at('avro'))
  assert.deepEqual(JSON.parse(JSON.stringify(read)), value)
})

test('an Avro reader gets what an older writer wrote as its own version of it', async () => {
  const old = avro<{ name: string }>({ type: 'record', name: 'P', fields: [{ name: 'name', type: 'string' }] }, { registry })
  const fields = [
    { name: 'city', type: 'string', default: 'Prague' },
    { name: 'label', aliases: ['name'], type: 'string' },
  ]
  const now = avro({ type: 'record', name: 'P', fields }, { registry })
  const bytes = await old.serialize({ name: 'x' }, at('evolves'))
  assert.deepEqual({ ...((await now.deserialize(bytes, at('evolves'))) as object) }, { city: 'Prague', label: 'x' })
})

test('a value that does not fit is refused with the path of the wrong field', async () => {
  const wrong = async (work: unknown, path: string, says: RegExp) =>
    assert.rejects(Promise.resolve(work), (error) => {
      assert.ok(error instanceof SchemaMismatchError, String(error))
      assert.equal(error.path, path)
      assert.match(error.message, says)
      return true
    })
  await wrong(
    avro(PERSON, { registry }).serialize({ name: 'Ada', address: { zip: 5 } }, at('wrong')),
    '/address/zip',
    /5 is no string/,
  )
  await wrong(avro(PERSON, { registry }).serialize({ name: 7 }, at('wrong')), '/name', /7 is no string/)
  const json = { type: 'object', properties: { a: { type: 'object', properties: { b: { type: 'integer' } } } } }
  await wrong(jsonSchema(json, { registry }).serialize({ a: { b: 'x' } }, at('wrong')), '/a/b', /must be integer/)
  const proto = 'syntax = "proto3"; message A { message B { int32 c = 1; } B b = 1; }'
  await wrong(protobuf(proto, { registry }).serialize({ b: { c: 'x' } }, at('wrong')), '/b/c', /int32 is meant/)
  await wrong(protobuf(proto, { registry }).serialize({ b: { d: 1 } }, at('wrong')), '/b/d', /no such field/)
})

test('longs are exact, or refused', async () => {
  const exact = avro<bigint>('"long"', { registry, longs: 'bigint' })
  const big = 2n ** 62n + 1n
  const bytes = await exact.serialize(big, at('longs'))
  assert.equal(await exact.deserialize(bytes, at('longs')), big)
  await assert.rejects(async () => avro<number>('"long"', { registry }).deserialize(bytes, at('longs')), /precision/)
})

test('JSON is validated on both sides', async () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { n: { type: 'number' } },
    required: ['n'],
    additionalProperties: false,
  }
  const codec = jsonSchema<{ n: number }>(schema, { registry })
  const bytes = await codec.serialize({ n: 1 }, at('json'))
  assert.deepEqual(await codec.deserialize(bytes, at('json')), { n: 1 })
  assert.deepEqual(await jsonSchema(undefined, { registry }).deserialize(bytes, at('json')), { n: 1 })
  const stricter = jsonSchema({ ...schema, properties: { n: { type: 'number', minimum: 2 } } }, { registry })
  await assert.rejects(async () => stricter.deserialize(bytes, at('json')), /\/n: must be >= 2/)
})

test('Protobuf goes there and back: imports, nested messages, 64 bits', async () => {
  const shared = 'syntax = "proto3"; package shared; message Money { int64 cents = 1; string currency = 2; }'
  await registry.register('money', { schema: shared, schemaType: 'PROTOBUF' })
  const text = `syntax = "proto3"; package shop;
    import "shared/money.proto"; import "google/protobuf/timestamp.proto";
    message Unused {} message Order { message Line { string sku = 1; shared.Money price = 2; } repeated Line lines = 1; google.protobuf.Timestamp at = 2; }`
  const references = [{ name: 'shared/money.proto', subject: 'money', version: 1 }]
  const codec = protobuf<object>(text, { registry, references, message: 'Order' })
  const value = { lines: [{ sku: 'a', price: { cents: 2n ** 60n + 1n, currency: 'CZK' } }], at: { seconds: 7n, nanos: 0 } }
  const bytes = await codec.serialize(value, at('proto'))
  assert.deepEqual(
    JSON.parse(JSON.stringify(await codec.deserialize(bytes, at('proto')), text64)),
    JSON.parse(JSON.stringify(value, text64)),
  )
  // Whoever has no schema takes the writer's, references and all.
  const blind = await protobuf<object>(undefined, { registry }).deserialize(bytes, at('proto'))
  assert.deepEqual(JSON.parse(JSON.stringify(blind, text64)), JSON.parse(JSON.stringify(value, text64)))
  const line = protobuf<object>(text, { registry, references, message: 'shop.Order.Line' })
  const nested = await line.serialize({ sku: 'b' }, at('proto'))
  assert.deepEqual([...decodeIndexes(readPrefix(nested!).rest).indexes], [1, 0])
})

const text64 = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)

test('message indexes are those of other clients', () => {
  assert.deepEqual([...encodeIndexes([0])], [0])
  assert.deepEqual([...encodeIndexes([1])], [2, 2])
  assert.deepEqual([...encodeIndexes([0, 70])], [4, 0, 140, 1])
  for (const indexes of [[0], [3], [1, 0, 500]]) assert.deepEqual(decodeIndexes(encodeIndexes(indexes)).indexes, indexes)
  for (const bytes of [[], [2], [255, 255, 255, 255, 255, 255], [254, 255, 3]]) {
    assert.throws(() => decodeIndexes(Buffer.from(bytes)), WireFormatError)
  }
})

test('bytes that no registry serializer wrote are refused', async () => {
  const codec = avro(PERSON, { registry })
  for (const bytes of [Buffer.alloc(0), Buffer.from('{"name":"Ada"}'), Buffer.of(0, 0, 0)]) {
    await assert.rejects(async () => codec.deserialize(bytes, at('x')), WireFormatError)
  }
  await assert.rejects(async () => codec.deserialize(Buffer.of(0, 0, 0, 99, 99, 1), at('x')), {
    name: 'RegistryResponseError',
    code: 40403,
  })
})

test('a schema that does not fit the subject is refused, and one that must be there and is not', async () => {
  await avro(PERSON, { registry }).serialize({ name: 'a', address: null }, at('strict'))
  const other = avro({ ...PERSON, fields: [{ name: 'other', type: 'int' }] }, { registry })
  await assert.rejects(
    async () => other.serialize({ other: 1 }, at('strict')),
    (error) => {
      assert.ok(error instanceof RegistryResponseError)
      assert.equal(error.code, 409)
      assert.match(error.message, /'other'/)
      return true
    },
  )
  const absent = avro('"int"', { registry, autoRegister: false })
  await assert.rejects(async () => absent.serialize(1, at('absent')), { code: 40401 })
})

test('a registry that is away, or silent, is an error that may pass; the cache needs no registry', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as AddressInfo
  const away = new RegistryClient({ url: ['http://127.0.0.1:1', `http://127.0.0.1:${port}`], timeoutMs: 50 })
  await assert.rejects(away.schema(1), RegistryUnreachableError)
  silent.close()
  silent.closeAllConnections()
  let calls = 0
  const counted: typeof fetch = (...request) => {
    calls++
    return fetch(...request)
  }
  const cached = new RegistryClient({ url: `http://127.0.0.1:${server.port}`, fetch: counted })
  const codec = avro<string>('"string"', { registry: cached })
  for (const value of ['a', 'b', 'c'])
    assert.equal(await codec.deserialize(await codec.serialize(value, at('cached')), at('cached')), value)
  assert.equal(calls, 2)
})
