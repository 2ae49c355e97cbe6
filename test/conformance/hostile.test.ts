// What the internet sends to an open port, and what broken clients do: the broker stays up, serves the others, and keeps its memory.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Fetch } from '../../src/protocol/messages/01-fetch.ts'
import { Metadata } from '../../src/protocol/messages/03-metadata.ts'
import { startBroker, type TestBroker } from '../../src/testing/start-broker.ts'
import { eventually } from '../support/eventually.ts'
import { fuzz, memoryInUse } from './hostile.fuzz.ts'
import { ConnectionClosed, RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  createTopic,
  fetchFrom,
  fetchRequest,
  metadataOf,
  produce,
  produced,
  valuesIn,
} from './requests.ts'

const warnings: string[] = []
let broker: TestBroker
let client: RawClient
before(async () => {
  const logger = { info() {}, warn: (line: string) => void warnings.push(line), error: (line: string) => assert.fail(line) }
  broker = await startBroker({ logger })
  client = await RawClient.connect(broker.bootstrapServers)
})
after(async () => {
  client?.close()
  await broker?.close()
})

const MIB = 1024 * 1024
const connect = () => RawClient.connect(broker.bootstrapServers)

async function servesOthers(): Promise<void> {
  const topic = await createTopic(client)
  await produced(client, topic, ['as ever'])
  assert.deepEqual(valuesIn((await fetchFrom(client, topic, 0n)).records), ['as ever'])
}

/** Accepted, all of them: more at a time than may wait for that and the kernel drops some, who try again a second later. */
async function connections(count: number): Promise<RawClient[]> {
  const all: RawClient[] = []
  while (all.length < count) {
    all.push(...(await Promise.all(Array.from({ length: Math.min(200, count - all.length) }, connect))))
    // Whoever comes last is served when all before it have been accepted.
    using last = await connect()
    await metadataOf(last, [])
  }
  return all
}

test('a few thousand hostile frames crash nothing, keep nobody from being served, and leave no memory behind', async () => {
  const { cut } = await fuzz(3000, 1)
  // Both must be common, or what is sent is too tame or too wild to find anything.
  assert.ok(cut > 300 && cut < 2700, `${cut} connections cut`)
})

test('each connection that is cut leaves one line in the log, with the reason and without what it sent', async () => {
  warnings.length = 0
  using one = await connect()
  one.sendBytes(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
  await one.closedByBroker()
  using two = await connect()
  two.sendFrame(Buffer.from('\x00\x03\x00\x01\x00\x00\x00\x01\x00\x04evil\x7f\xff\xff\xff', 'latin1'))
  await two.closedByBroker()
  assert.equal(warnings.length, 2)
  assert.match(warnings[0]!, /^closed the connection of 127\.0\.0\.1:\d+: frame of 1195725856 bytes/)
  assert.match(warnings[1]!, /^closed the connection of 127\.0\.0\.1:\d+: array of 2147483647 elements/)
})

test('thousands of connections that send nothing cost little, and keep nobody out', async () => {
  const before = memoryInUse()
  const silent = await connections(2000)
  await servesOthers()
  // Both ends of each are in this process.
  assert.ok(memoryInUse() - before < 2000 * 32 * 1024)
  for (const one of silent) one.close()
  await servesOthers()
})

test('hundreds of clients that come at once are all served', async () => {
  const crowd = Array.from({ length: 400 }, async () => {
    using one = await connect()
    return (await metadataOf(one, [])).brokers.length
  })
  assert.ok((await Promise.all(crowd)).every((brokers) => brokers === 1))
})

test('half frames with nothing behind them cost what has arrived, not what they promise', async () => {
  const before = process.memoryUsage().rss
  const half = await connections(300)
  for (const one of half) one.sendBytes(Buffer.concat([Buffer.from([0x06, 0, 0, 0]), Buffer.alloc(1000)]))
  await servesOthers()
  // Each promises 96 MiB.
  assert.ok(process.memoryUsage().rss - before < 300 * MIB)
  for (const one of half) one.close()
})

test('a frame that comes byte by byte from many clients at once is served to all of them', async () => {
  const slow = await connections(20)
  const request = Buffer.from('00000015' + '0003' + '0001' + '00000001' + '0007' + '636f6e66736c77' + '00000000', 'hex')
  for (const byte of request) for (const one of slow) one.sendBytes(Buffer.from([byte]))
  for (const one of slow) {
    await one.answer({ api: Metadata, version: 1, correlationId: 1 })
    one.close()
  }
})

test('a client that asks and never reads is not read either; when it reads, it gets all it asked for, in order', async () => {
  const topic = await createTopic(client)
  const value = Buffer.alloc(900_000, 'x')
  for (let i = 0; i < 2; i++) {
    assertError((await produce(client, topic, batchOf([{ timestamp: BigInt(Date.now()), value }]))).errorCode, 'NONE')
  }
  using deaf = await connect()
  deaf.socket.pause()
  const before = memoryInUse()
  const sent = Array.from({ length: 100 }, () => deaf.send(Fetch, 12, fetchRequest(topic, 0n)))
  for (let i = 0; i < 20; i++) await servesOthers()
  // Answers of 180 MB would be waiting.
  assert.ok(memoryInUse() - before < 64 * MIB)
  deaf.socket.resume()
  for (const request of sent) {
    const { responses } = await deaf.answer(request)
    assert.ok(responses[0]!.partitions[0]!.records!.length > value.length)
  }
})

test('a client that resets its connection while answers are on their way harms nobody', async () => {
  const topic = await createTopic(client)
  await produced(client, topic, ['x'.repeat(500_000)])
  for (const one of await connections(50)) {
    for (let i = 0; i < 5; i++) one.send(Fetch, 12, fetchRequest(topic, 0n))
    one.socket.resetAndDestroy()
  }
  await servesOthers()
})

test('connections beyond max.connections are refused, and taken again when others have gone', async () => {
  const small = await startBroker({ config: { 'max.connections': '5' } })
  try {
    const taken = await Promise.all(Array.from({ length: 5 }, () => RawClient.connect(small.bootstrapServers)))
    await metadataOf(taken[4]!, [])
    using refused = await RawClient.connect(small.bootstrapServers)
    await refused.closedByBroker()
    taken[0]!.close()
    await eventually(async () => {
      using next = await RawClient.connect(small.bootstrapServers)
      await metadataOf(next, []).catch((error) => {
        assert.ok(error instanceof ConnectionClosed)
        throw error
      })
      return true
    })
    for (const one of taken) one.close()
  } finally {
    await small.close()
  }
})
