// npm's two registry clients, unmodified, with their serializers: @kafkajs/confluent-schema-registry and @confluentinc/schemaregistry.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { cacheDirectory } from '../apache-kafka.ts'
import { mustRun } from '../command.ts'
import { startRegistry } from '../registry-process.ts'
import { type Case, runCases, type Suite } from '../suite.ts'

const KAFKAJS = '@kafkajs/confluent-schema-registry'
const CONFLUENT = '@confluentinc/schemaregistry'
const VERSIONS = { [KAFKAJS]: '4.1.0', [CONFLUENT]: '1.10.1' }
const directory = cacheDirectory('schema-registry-js-1')
const load = (name: string) => createRequire(join(directory, 'package.json'))(name)

const PERSON = {
  type: 'record',
  name: 'Person',
  namespace: 'interop',
  fields: [
    { name: 'name', type: 'string' },
    { name: 'age', type: ['null', 'int'], default: null },
  ],
}
const PERSON_JSON = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name'],
}
const PERSON_PROTO = `syntax = "proto3";
package interop;

message Other { string x = 1; }
message Person { string name = 1; int32 age = 2; }
`

let url = ''

const cases: Record<string, Case> = {
  async 'kafkajs: Avro is registered once, encoded and decoded'() {
    const { SchemaRegistry } = load(KAFKAJS)
    const registry = new SchemaRegistry({ host: url })
    const { id } = await registry.register({ type: 'AVRO', schema: JSON.stringify(PERSON) })
    const again = await registry.register({ type: 'AVRO', schema: JSON.stringify(PERSON, null, 2) })
    assert.equal(again.id, id)
    const fresh = new SchemaRegistry({ host: url })
    assert.deepEqual({ ...(await fresh.decode(await registry.encode(id, { name: 'Ada', age: 36 }))) }, { name: 'Ada', age: 36 })
    assert.equal(await fresh.getLatestSchemaId('interop.Person'), id)
    return undefined
  },

  async 'kafkajs: an incompatible schema is refused'() {
    const { SchemaRegistry } = load(KAFKAJS)
    const registry = new SchemaRegistry({ host: url })
    const schema = JSON.stringify({ ...PERSON, fields: [...PERSON.fields, { name: 'city', type: 'string' }] })
    await assert.rejects(registry.register({ type: 'AVRO', schema }), /incompatible/i)
    return undefined
  },

  async 'kafkajs: JSON and Protobuf are encoded and decoded'() {
    const { SchemaRegistry } = load(KAFKAJS)
    const registry = new SchemaRegistry({ host: url })
    const json = await registry.register({ type: 'JSON', schema: JSON.stringify(PERSON_JSON) }, { subject: 'kafkajs-json' })
    const proto = await registry.register({ type: 'PROTOBUF', schema: PERSON_PROTO }, { subject: 'kafkajs-proto' })
    assert.notEqual(json.id, proto.id)
    const fresh = new SchemaRegistry({ host: url })
    for (const { id } of [json, proto]) {
      const message = id === proto.id ? { x: 'y' } : { name: 'Ada', age: 36 }
      assert.deepEqual({ ...(await fresh.decode(await registry.encode(id, message))) }, message)
    }
    await assert.rejects(registry.encode(json.id, { age: 'old' }))
    return undefined
  },

  async 'kafkajs: references are resolved'() {
    const { SchemaRegistry } = load(KAFKAJS)
    const registry = new SchemaRegistry({ host: url })
    const inner = { type: 'record', name: 'Inner', namespace: 'refs', fields: [{ name: 'n', type: 'int' }] }
    await registry.register({ type: 'AVRO', schema: JSON.stringify(inner) }, { subject: 'refs-inner' })
    const outer = { type: 'record', name: 'Outer', namespace: 'refs', fields: [{ name: 'inner', type: 'refs.Inner' }] }
    const references = [{ name: 'refs.Inner', subject: 'refs-inner', version: 1 }]
    const { id } = await registry.register({ type: 'AVRO', schema: JSON.stringify(outer), references }, { subject: 'refs-outer' })
    const fresh = new SchemaRegistry({ host: url })
    const decoded = await fresh.decode(await registry.encode(id, { inner: { n: 7 } }))
    assert.equal(decoded.inner.n, 7)
    return undefined
  },

  async 'confluent: the client asks for all there is'() {
    const { SchemaRegistryClient } = load(CONFLUENT)
    const client = SchemaRegistryClient.newClient({ baseURLs: [url] })
    const schema = { schema: JSON.stringify(PERSON), schemaType: 'AVRO' }
    const id = await client.register('confluent-all', schema)
    assert.equal(await client.getId('confluent-all', schema), id)
    assert.equal(await client.getVersion('confluent-all', schema), 1)
    assert.deepEqual(await client.getAllVersions('confluent-all'), [1])
    assert.equal((await client.getLatestSchemaMetadata('confluent-all')).id, id)
    assert.equal((await client.getSchemaMetadata('confluent-all', 1)).version, 1)
    assert.equal(JSON.parse((await client.getBySubjectAndId('confluent-all', id)).schema).name, 'Person')
    assert.ok((await client.getAllSubjects()).includes('confluent-all'))
    assert.equal(await client.testSubjectCompatibility('confluent-all', { schema: '"string"', schemaType: 'AVRO' }), false)
    assert.equal(await client.updateCompatibility('confluent-all', 'NONE'), 'NONE')
    assert.equal(await client.getCompatibility('confluent-all'), 'NONE')
    assert.equal((await client.updateConfig('confluent-all', { compatibility: 'FULL' })).compatibility, 'FULL')
    assert.equal(await client.updateDefaultCompatibility('FULL_TRANSITIVE'), 'FULL_TRANSITIVE')
    assert.equal(await client.getDefaultCompatibility(), 'FULL_TRANSITIVE')
    await client.updateDefaultCompatibility('BACKWARD')
    assert.equal(await client.deleteSubjectVersion('confluent-all', 1), 1)
    assert.deepEqual(await client.deleteSubject('confluent-all', true), [1])
    await assert.rejects(client.getAllVersions('confluent-all'), (error: { status?: number; errorCode?: number }) => {
      assert.deepEqual([error.status, error.errorCode], [404, 40401])
      return true
    })
    return undefined
  },

  async 'confluent: Avro, rules of evolution included'() {
    const { SchemaRegistryClient, AvroSerializer, AvroDeserializer, SerdeType } = load(CONFLUENT)
    const client = SchemaRegistryClient.newClient({ baseURLs: [url] })
    await client.register('confluent-avro-value', { schema: JSON.stringify(PERSON), schemaType: 'AVRO' })
    const serializer = new AvroSerializer(client, SerdeType.VALUE, { useLatestVersion: true })
    const deserializer = new AvroDeserializer(SchemaRegistryClient.newClient({ baseURLs: [url] }), SerdeType.VALUE, {})
    const bytes = await serializer.serialize('confluent-avro', { name: 'Ada', age: 36 })
    const read = await deserializer.deserialize('confluent-avro', bytes)
    assert.equal(read.name, 'Ada')
    return undefined
  },

  async 'confluent: JSON Schema'() {
    const { SchemaRegistryClient, JsonSerializer, JsonDeserializer, SerdeType } = load(CONFLUENT)
    const client = SchemaRegistryClient.newClient({ baseURLs: [url] })
    await client.register('confluent-json-value', { schema: JSON.stringify(PERSON_JSON), schemaType: 'JSON' })
    const serializer = new JsonSerializer(client, SerdeType.VALUE, { useLatestVersion: true, validate: true })
    const deserializer = new JsonDeserializer(client, SerdeType.VALUE, {})
    const bytes = await serializer.serialize('confluent-json', { name: 'Ada' })
    assert.deepEqual(await deserializer.deserialize('confluent-json', bytes), { name: 'Ada' })
    await assert.rejects(serializer.serialize('confluent-json', { age: 'old' }))
    return undefined
  },

  async 'confluent: Protobuf goes as a descriptor and comes back as one'() {
    const { SchemaRegistryClient, ProtobufSerializer, ProtobufDeserializer, SerdeType } = load(CONFLUENT)
    const { createRegistry, fromBinary, create, toBinary } = load('@bufbuild/protobuf')
    const { FileDescriptorProtoSchema, TimestampSchema, timestampFromMs } = load('@bufbuild/protobuf/wkt')
    assert.ok(FileDescriptorProtoSchema && fromBinary && create && toBinary)
    const client = SchemaRegistryClient.newClient({ baseURLs: [url] })
    const registry = createRegistry(TimestampSchema)
    const serializer = new ProtobufSerializer(client, SerdeType.VALUE, { autoRegisterSchemas: true, registry })
    const deserializer = new ProtobufDeserializer(SchemaRegistryClient.newClient({ baseURLs: [url] }), SerdeType.VALUE, {})
    const bytes = await serializer.serialize('confluent-proto', timestampFromMs(1_700_000_000_000))
    const read = await deserializer.deserialize('confluent-proto', bytes)
    assert.equal(read.seconds, 1_700_000_000n)
    const { schema } = await client.getLatestSchemaMetadata('confluent-proto-value')
    assert.match(schema, /message Timestamp \{/)
    return undefined
  },
}

export const suite: Suite = {
  config: { 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    if (existsSync(join(directory, 'complete'))) return
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'package.json'), JSON.stringify({ private: true, dependencies: VERSIONS }))
    await mustRun(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: directory, timeoutMs: 600_000 })
    await mkdir(join(directory, 'complete.aside'))
    await rename(join(directory, 'complete.aside'), join(directory, 'complete'))
  },

  async *run(target, only) {
    await using registry = await startRegistry(target, 'schemas-js')
    url = registry.url
    yield* runCases(cases)(target, only)
  },
}
