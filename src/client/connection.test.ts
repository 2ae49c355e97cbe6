import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScriptedBroker } from '../../test/support/scripted-broker.ts'
import { realClock } from '../host/clock.ts'
import type { Socket } from '../host/network.ts'
import { realNetwork } from '../host/real-network.ts'
import { Metadata } from '../protocol/messages/03-metadata.ts'
import { FindCoordinator } from '../protocol/messages/10-find-coordinator.ts'
import { ListGroups } from '../protocol/messages/16-list-groups.ts'
import { ApiVersions } from '../protocol/messages/18-api-versions.ts'
import { Connection } from './connection.ts'
import { ClientClosedError, ConnectionError, ProtocolError, TimeoutError, UnsupportedVersionError } from './errors.ts'

function open(broker: { host: string; port: number }, requestTimeoutMs = 2000): Promise<Connection> {
  return Connection.open({
    network: realNetwork,
    clock: realClock,
    endpoint: { host: broker.host, port: broker.port },
    clientId: 'test',
    connectTimeoutMs: 2000,
    requestTimeoutMs,
    softwareVersion: '1.0',
  })
}

const ranges = (max: number) => [
  { apiKey: ApiVersions.key, minVersion: 0, maxVersion: max },
  { apiKey: ListGroups.key, minVersion: 0, maxVersion: 2 },
]

test('a connection uses the newest version that both sides speak', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(ApiVersions, () => ({ errorCode: 0, apiKeys: ranges(4) }))
  let seen = -1
  broker.on(ListGroups, (_, version) => {
    seen = version
    return { errorCode: 0, groups: [] }
  })
  const connection = await open(broker)
  await connection.request(ListGroups, {})
  assert.equal(seen, 2)
  connection.close()
})

test('a broker that does not know our ApiVersions is asked again in a version that it names', async () => {
  await using broker = await ScriptedBroker.start()
  const versions: number[] = []
  broker.on(ApiVersions, (_, version) => {
    versions.push(version)
    return version > 2
      ? { errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 2 }] }
      : { errorCode: 0, apiKeys: ranges(2) }
  })
  broker.versionOfRefusal = 0
  const connection = await open(broker)
  assert.deepEqual(versions, [4, 2])
  assert.deepEqual(connection.versions.get(ListGroups.key), { min: 0, max: 2 })
  connection.close()
})

test('a broker that names no version of ApiVersions is asked in version 0', async () => {
  await using broker = await ScriptedBroker.start()
  const versions: number[] = []
  broker.versionOfRefusal = 0
  broker.on(ApiVersions, (_, version) => {
    versions.push(version)
    return version > 0 ? { errorCode: 35, apiKeys: [] } : { errorCode: 0, apiKeys: ranges(0) }
  })
  ;(await open(broker)).close()
  assert.deepEqual(versions, [4, 0])
})

test('an API that the broker does not have is an UnsupportedVersionError before anything is sent', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(ApiVersions, () => ({ errorCode: 0, apiKeys: ranges(4) }))
  const connection = await open(broker)
  await assert.rejects(connection.request(Metadata, { topics: [] }), UnsupportedVersionError)
  await assert.rejects(connection.request(ListGroups, {}, { minVersion: 4 }), /speaks 0 to 2, this needs 4 to 5/)
  assert.equal(connection.supports(Metadata), false)
  assert.equal(connection.supports(ListGroups), true)
  connection.close()
})

test('pipelined requests get their answers in order', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(FindCoordinator, (request) => ({
    errorCode: 0,
    errorMessage: null,
    nodeId: 1,
    host: '',
    port: 1,
    coordinators: request.coordinatorKeys.map((key) => ({
      key,
      nodeId: 1,
      host: 'x',
      port: 1,
      errorCode: 0,
      errorMessage: null,
    })),
  }))
  const connection = await open(broker)
  const keys = Array.from({ length: 50 }, (_, index) => `group-${index}`)
  const answers = await Promise.all(keys.map((key) => connection.request(FindCoordinator, { key, coordinatorKeys: [key] })))
  assert.deepEqual(
    answers.map((answer) => answer.coordinators[0].key),
    keys,
  )
  connection.close()
})

test('an unanswered request times out, closes the connection and fails what stands behind it', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(ListGroups, () => 'silence')
  const connection = await open(broker)
  const closed = new Promise<void>((resolve) => {
    connection.onClose = resolve
  })
  const behind = connection.request(ListGroups, {})
  await assert.rejects(connection.request(ListGroups, {}, { timeoutMs: 20 }), TimeoutError)
  await assert.rejects(behind, TimeoutError)
  await closed
  assert.equal(connection.isOpen, false)
})

test('a broker that hangs up fails what is in flight with a ConnectionError that names it', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(ListGroups, () => 'hang up')
  const connection = await open(broker)
  await assert.rejects(connection.request(ListGroups, {}), (error: Error) => {
    assert.ok(error instanceof ConnectionError)
    assert.match(error.message, new RegExp(`127.0.0.1:${broker.port}`))
    return true
  })
})

test('closing rejects what is in flight', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(ListGroups, () => 'silence')
  const connection = await open(broker)
  const asked = connection.request(ListGroups, {})
  connection.close()
  await assert.rejects(asked, ClientClosedError)
})

test('nobody listening is a ConnectionError with its cause', async () => {
  const broker = await ScriptedBroker.start()
  const { host, port } = broker
  await broker[Symbol.asyncDispose]()
  await assert.rejects(open({ host, port }), (error: Error) => {
    assert.ok(error instanceof ConnectionError)
    assert.equal((error.cause as NodeJS.ErrnoException).code, 'ECONNREFUSED')
    return true
  })
})

test('a server that does not speak the protocol is told apart from one that is down', async () => {
  const listener = await realNetwork.listen({ host: '127.0.0.1', port: 0 }, (socket: Socket) => {
    socket.onData = () => socket.write([Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')])
    socket.onEnd = () => socket.destroy()
  })
  await assert.rejects(open(listener.endpoint), ProtocolError)
  await listener.close()
})

test('a frame that comes byte by byte is put together', async () => {
  await using broker = await ScriptedBroker.start()
  broker.dribble = true
  broker.on(ListGroups, () => ({ errorCode: 0, groups: [{ groupId: 'a', protocolType: 'consumer' }] }))
  const connection = await open(broker)
  const { groups } = await connection.request(ListGroups, {})
  assert.equal(groups[0].groupId, 'a')
  connection.close()
})
