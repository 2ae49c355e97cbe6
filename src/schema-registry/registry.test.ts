import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RegistryServer, serveSchemaRegistry } from '../cli/schema-registry-server.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { Producer } from '../client/producer.ts'
import { realClock } from '../host/clock.ts'
import { silentLogger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { startBroker, type TestBroker } from '../testing/start-broker.ts'

let broker: TestBroker
let server: RegistryServer

const client = () => ({ network: realNetwork, clock: realClock, random: realRandom, bootstrapServers: broker.bootstrapServers })
const serve = (topic?: string) =>
  serveSchemaRegistry({
    ...{ host: '127.0.0.1', port: 0, advertisedHost: '127.0.0.1', client: client(), logger: silentLogger },
    ...(topic !== undefined && { topic, groupId: topic }),
  })

before(async () => {
  broker = await startBroker()
  server = await serve()
})

after(async () => {
  await server.close()
  await broker.close()
})

// biome-ignore lint/suspicious/noExplicitAny: each answer has a shape of its own
type Answer = { status: number; body: any; contentType: string | null }

async function call(method: string, path: string, body?: unknown, at = server): Promise<Answer> {
  const init = body === undefined ? { method } : { method, body: typeof body === 'string' ? body : JSON.stringify(body) }
  const response = await fetch(`http://127.0.0.1:${at.port}${path}`, init)
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? undefined : JSON.parse(text),
    contentType: response.headers.get('content-type'),
  }
}

const ok = async (method: string, path: string, body?: unknown, at = server) => {
  const answer = await call(method, path, body, at)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body
}

const refused = async (status: number, code: number, method: string, path: string, body?: unknown) => {
  const answer = await call(method, path, body)
  assert.deepEqual([answer.status, answer.body.error_code], [status, code], answer.body.message)
  return answer.body.message as string
}

const record = (...fields: object[]) => ({ schema: JSON.stringify({ type: 'record', name: 'R', fields }) })
const a = { name: 'a', type: 'string' }

test('a schema gets one id, however it is formatted and wherever it is registered', async () => {
  const { id } = await ok('POST', '/subjects/one/versions', record(a))
  const spaced = { schema: JSON.stringify(JSON.parse(record(a).schema), null, 4) }
  assert.equal((await ok('POST', '/subjects/one/versions', spaced)).id, id)
  assert.equal((await ok('POST', '/subjects/two/versions', spaced)).id, id)
  assert.deepEqual(await ok('GET', '/subjects/one/versions'), [1])
  assert.deepEqual(await ok('GET', `/schemas/ids/${id}/subjects`), ['one', 'two'])
  assert.equal((await call('GET', '/subjects')).contentType, 'application/vnd.schemaregistry.v1+json')
  assert.equal((await ok('GET', `/schemas/ids/${id}/schema`)).name, 'R')
})

test('what is not there, and what makes no sense, has the code that clients know', async () => {
  await refused(404, 40401, 'GET', '/subjects/none/versions')
  await refused(404, 40403, 'GET', '/schemas/ids/4711')
  await ok('POST', '/subjects/codes/versions', record(a))
  await refused(404, 40402, 'GET', '/subjects/codes/versions/7')
  await refused(404, 40403, 'POST', '/subjects/codes', record({ name: 'z', type: 'int' }))
  await refused(422, 42202, 'GET', '/subjects/codes/versions/first')
  await refused(422, 42201, 'POST', '/subjects/codes/versions', { schema: '{"type":"nothing"}' })
  await refused(422, 42201, 'POST', '/subjects/codes/versions', { schema: '[['.repeat(50_000) })
  await refused(422, 42203, 'PUT', '/config', { compatibility: 'SOMEHOW' })
  await refused(422, 42204, 'PUT', '/mode', { mode: 'SOMEHOW' })
  await refused(404, 40408, 'GET', '/config/codes')
  await refused(404, 40409, 'GET', '/mode/codes')
  await refused(400, 400, 'POST', '/subjects/codes/versions', 'no json')
  await refused(404, 404, 'GET', '/nowhere')
  await refused(405, 405, 'PUT', '/subjects')
  await refused(413, 42209, 'POST', '/subjects/codes/versions', { schema: 'x'.repeat(5_000_000) })
})

test('an incompatible schema is refused with the field that does not fit; the level is the subject’s', async () => {
  await ok('POST', '/subjects/level/versions', record(a))
  const more = record(a, { name: 'city', type: 'string' })
  assert.match(await refused(409, 409, 'POST', '/subjects/level/versions', more), /READER_FIELD_MISSING_DEFAULT_VALUE.*'city'/)
  const check = await ok('POST', '/compatibility/subjects/level/versions/latest?verbose=true', more)
  assert.equal(check.is_compatible, false)
  assert.match(check.messages[0], /city/)
  assert.deepEqual(await ok('PUT', '/config/level', { compatibility: 'forward' }), { compatibility: 'FORWARD' })
  assert.equal((await ok('POST', '/subjects/level/versions', more)).version, 2)
  assert.deepEqual(await ok('DELETE', '/config/level'), { compatibilityLevel: 'FORWARD' })
  assert.equal((await ok('GET', '/config/level?defaultToGlobal=true')).compatibilityLevel, 'BACKWARD')
})

test('what is deleted softly can be seen, hard deletion comes after it, and references hold what they name', async () => {
  await ok('POST', '/subjects/inner/versions', { schema: '{"type":"enum","name":"E","symbols":["A"]}' })
  const references = [{ name: 'E', subject: 'inner', version: 1 }]
  const { id } = await ok('POST', '/subjects/outer/versions', { ...record({ name: 'e', type: 'E' }), references })
  assert.deepEqual(await ok('GET', '/subjects/inner/versions/1/referencedby'), [id])
  await refused(422, 42206, 'DELETE', '/subjects/inner')
  await refused(404, 40405, 'DELETE', '/subjects/outer?permanent=true')
  assert.deepEqual(await ok('DELETE', '/subjects/outer'), [1])
  await refused(404, 40404, 'DELETE', '/subjects/outer')
  await refused(404, 40401, 'GET', '/subjects/outer/versions')
  assert.deepEqual(await ok('GET', '/subjects/outer/versions?deleted=true'), [1])
  // Registered again, it is a new version with its old id.
  assert.deepEqual(
    await ok('POST', '/subjects/outer/versions', { ...record({ name: 'e', type: 'E' }), references }).then(({ id, version }) => [
      id,
      version,
    ]),
    [id, 2],
  )
  await ok('DELETE', '/subjects/outer')
  assert.deepEqual(await ok('DELETE', '/subjects/outer?permanent=true'), [1, 2])
  assert.deepEqual(await ok('DELETE', '/subjects/inner'), [1])
})

test('modes forbid writing, and let ids be imported', async () => {
  await ok('PUT', '/mode/moded', { mode: 'READONLY' })
  await refused(422, 42205, 'POST', '/subjects/moded/versions', record(a))
  await ok('PUT', '/mode/moded', { mode: 'IMPORT' })
  const imported = await ok('POST', '/subjects/moded/versions', { schema: '"bytes"', id: 900, version: 5 })
  assert.deepEqual([imported.id, imported.version], [900, 5])
  await refused(422, 42207, 'POST', '/subjects/moded/versions', { schema: '"boolean"', id: 900 })
  await ok('DELETE', '/mode/moded')
  await refused(422, 42205, 'POST', '/subjects/moded/versions', { schema: '"double"', id: 901 })
})

test('contexts have ids of their own, and a path of their own', async () => {
  const other = await ok('POST', '/subjects/:.other:s/versions', { schema: '"float"' })
  assert.equal(other.id, 1)
  assert.equal((await ok('GET', '/contexts/.other/subjects/s/versions/1')).subject, ':.other:s')
  assert.deepEqual(await ok('GET', '/contexts'), ['.', '.other'])
  assert.equal((await ok('GET', '/schemas/ids/1?subject=:.other:')).schema, '"float"')
})

test('normalisation finds schemas that differ in order only', async () => {
  const json = (text: string) => ({ schemaType: 'JSON', schema: text })
  const { id } = await ok('POST', '/subjects/normal/versions?normalize=true', json('{"type":"object","title":"x"}'))
  assert.equal((await ok('POST', '/subjects/normal/versions?normalize=true', json('{"title":"x","type":"object"}'))).id, id)
})

test('two instances have one writer: the other forwards, reads what it wrote, and takes over when it goes', async () => {
  const [first, second] = [await serve('shared'), await serve('shared')]
  try {
    const { id } = await ok('POST', '/subjects/s/versions', record(a), first)
    assert.equal((await ok('GET', '/subjects/s/versions/1', undefined, second)).id, id)
    assert.equal((await ok('POST', '/subjects/t/versions', { schema: '"int"' }, second)).id, id + 1)
    await first.close()
    assert.equal((await ok('POST', '/subjects/u/versions', { schema: '"long"' }, second)).id, id + 2)
  } finally {
    await first.close()
    await second.close()
  }
})

test('a topic that another registry wrote is taken over, and its keys are kept', async () => {
  const cluster = new ClusterClient(client())
  const producer = new Producer(cluster)
  const put = (key: object, value: object | null) =>
    producer.send({ topic: 'theirs', partition: 0, key: JSON.stringify(key), value: value && JSON.stringify(value) })
  const schema = (version: number, id: number, text: string) =>
    put(
      { keytype: 'SCHEMA', subject: 's', version, magic: 1 },
      { subject: 's', version, id, md5: 'x', schema: text, deleted: false },
    )
  await put({ keytype: 'NOOP', magic: 0 }, null)
  await schema(1, 7, '"int"')
  await schema(2, 8, '"long"')
  await put({ keytype: 'SOMETHING_NEW', magic: 0 }, { x: 1 })
  await put({ keytype: 'CONFIG', magic: 0 }, { compatibilityLevel: 'NONE' })
  await put({ keytype: 'DELETE_SUBJECT', subject: 's', magic: 0 }, { subject: 's', version: 1 })
  await producer.close()
  const theirs = await serve('theirs')
  try {
    assert.deepEqual(await ok('GET', '/subjects/s/versions', undefined, theirs), [2])
    assert.deepEqual(await ok('GET', '/subjects/s/versions?deleted=true', undefined, theirs), [1, 2])
    assert.equal((await ok('GET', '/config', undefined, theirs)).compatibilityLevel, 'NONE')
    assert.equal((await ok('POST', '/subjects/s/versions', { schema: '"string"' }, theirs)).id, 9)
    assert.equal((await ok('PUT', '/config', { compatibility: 'FULL' }, theirs)).compatibility, 'FULL')
  } finally {
    await theirs.close()
    await cluster.close()
  }
})
