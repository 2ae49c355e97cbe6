import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScriptedBroker } from '../../test/support/scripted-broker.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { Produce, type ProduceRequest } from '../protocol/messages/00-produce.ts'
import { InitProducerId } from '../protocol/messages/22-init-producer-id.ts'
import { baseSequence, codecId, producerEpoch, producerId } from '../protocol/records/batch-header.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import type { ClusterClient } from './cluster-client.ts'
import { ClientClosedError } from './errors.ts'
import { Producer, type ProducerOptions } from './producer.ts'

interface SeenBatch {
  readonly partition: number
  readonly values: string[]
  readonly baseSequence: number
  readonly producerId: bigint
  readonly epoch: number
  readonly codec: number
}

/** A broker with one topic, and a log of the batches that it is sent. `answer` gives the error code of each. */
class Scene implements AsyncDisposable {
  readonly broker: ScriptedBroker
  readonly cluster: ClusterClient
  readonly seen: SeenBatch[] = []
  answer: (batch: SeenBatch, request: ProduceRequest) => number | 'hang up' = () => 0
  private offset = 0n

  static async start(partitions = 1): Promise<Scene> {
    const broker = await ScriptedBroker.start()
    broker.onMetadata({ events: partitions })
    return new Scene(broker)
  }

  private constructor(broker: ScriptedBroker) {
    this.broker = broker
    this.cluster = broker.client()
    broker.on(InitProducerId, () => ({ errorCode: 0, producerId: 7n, producerEpoch: 0 }))
    broker.on(Produce, (request) => {
      let hangUp = false
      const responses = request.topicData.map((topic) => ({
        name: topic.name,
        topicId: topic.topicId,
        partitionResponses: topic.partitionData.map(({ index, records }) => {
          const bytes = records!
          const batch = {
            partition: index,
            values: [...decodeRecords(bytes)].map((record) => record.value!.toString()),
            baseSequence: baseSequence(bytes),
            producerId: producerId(bytes),
            epoch: producerEpoch(bytes),
            codec: codecId(bytes),
          }
          this.seen.push(batch)
          const errorCode = this.answer(batch, request)
          if (errorCode === 'hang up') hangUp = true
          const baseOffset = errorCode === 0 ? this.offset : -1n
          if (errorCode === 0) this.offset += BigInt(batch.values.length)
          return { index, errorCode: errorCode === 'hang up' ? 0 : errorCode, baseOffset }
        }),
      }))
      if (hangUp) return 'hang up'
      return request.acks === 0 ? 'silence' : { responses }
    })
  }

  producer(options: ProducerOptions = {}): Producer {
    return new Producer(this.cluster, { lingerMs: 0, deliveryTimeoutMs: 5000, ...options })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.close()
    await this.broker[Symbol.asyncDispose]()
  }
}

const send = (producer: Producer, value: string, partition?: number) => producer.send({ topic: 'events', value, partition })

test('records sent in one turn share a batch, and learn their offsets', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer()
  const sent = await Promise.all(['a', 'b', 'c'].map((value) => send(producer, value)))
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    [0n, 1n, 2n],
  )
  assert.deepEqual(
    scene.seen.map(({ values }) => values),
    [['a', 'b', 'c']],
  )
  await producer.close()
})

test('batches carry the producer id and consecutive sequence numbers', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer()
  await Promise.all([send(producer, 'a'), send(producer, 'b')])
  await send(producer, 'c')
  assert.deepEqual(
    scene.seen.map((batch) => [batch.producerId, batch.epoch, batch.baseSequence]),
    [
      [7n, 0, 0],
      [7n, 0, 2],
    ],
  )
})

test('records wait for others until the linger time is over or the batch is full', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer({ lingerMs: 60_000, batchSize: 300 })
  const value = 'x'.repeat(100)
  const sent = [send(producer, value), send(producer, value), send(producer, value)]
  await Promise.all(sent.slice(0, 2))
  assert.equal(scene.seen.length, 1, 'the third did not fit, and lingers')
  await producer.flush()
  await sent[2]
  assert.equal(scene.seen.length, 2)
  await producer.close()
})

test('a refused batch goes again with the same numbers, and before those behind it', async () => {
  await using scene = await Scene.start()
  let refused = 0
  scene.answer = (batch) => {
    // As a broker does it: the first is refused, and what comes behind it is out of order until it is there.
    if (batch.baseSequence === 0 && refused < 2) {
      refused++
      return 6
    }
    const written = scene.seen.filter((other) => other.baseSequence === 0).length > 2
    return batch.baseSequence === 0 || written ? 0 : 45
  }
  const producer = scene.producer()
  const results: string[] = []
  const sent = ['a', 'b', 'c', 'd'].map(async (value) => {
    const accepted = send(producer, value).then(() => results.push(value))
    await new Promise(setImmediate)
    return accepted
  })
  await Promise.all(sent)
  assert.deepEqual(results, ['a', 'b', 'c', 'd'])
  const sequences = new Map<string, Set<number>>()
  for (const { values, baseSequence } of scene.seen) {
    for (const [index, value] of values.entries()) {
      sequences.set(value, (sequences.get(value) ?? new Set()).add(baseSequence + index))
    }
  }
  assert.deepEqual(
    [...sequences.values()].map((all) => [...all]),
    [[0], [1], [2], [3]],
  )
})

test('a batch whose answer was lost goes again with the same numbers', async () => {
  await using scene = await Scene.start()
  scene.answer = () => (scene.seen.length === 1 ? 'hang up' : 0)
  await send(scene.producer(), 'a')
  assert.deepEqual(
    scene.seen.map(({ values, baseSequence }) => [values, baseSequence]),
    [
      [['a'], 0],
      [['a'], 0],
    ],
  )
})

test('a batch that is too large is split, and keeps its numbers', async () => {
  await using scene = await Scene.start()
  scene.answer = ({ values }) => (values.length > 1 ? 10 : 0)
  const producer = scene.producer()
  const sent = await Promise.all(['a', 'b', 'c'].map((value) => send(producer, value)))
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    [0n, 1n, 2n],
  )
  const accepted = scene.seen.filter(({ values }) => values.length === 1)
  assert.deepEqual(
    accepted.map(({ values, baseSequence }) => [values[0], baseSequence]),
    [
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ],
  )
})

test('a record that alone is too large fails, and those behind it begin a new epoch', async () => {
  await using scene = await Scene.start()
  scene.answer = ({ values }) => (values.includes('big') ? 10 : 0)
  const producer = scene.producer()
  await send(producer, 'a')
  await assert.rejects(send(producer, 'big'), (error) => error instanceof KafkaError && error.code === 'MESSAGE_TOO_LARGE')
  await send(producer, 'b')
  const last = scene.seen.at(-1)!
  assert.deepEqual([last.values, last.epoch, last.baseSequence], [['b'], 1, 0])
})

test('what the broker says of a record reaches its sender', async () => {
  await using scene = await Scene.start()
  scene.answer = () => 87
  await assert.rejects(send(scene.producer(), 'a'), (error) => error instanceof KafkaError && error.code === 'INVALID_RECORD')
})

test('calls in a row keep their order while the topic is still unknown', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer()
  const values = Array.from({ length: 100 }, (_, index) => String(index))
  await Promise.all(values.map((value) => send(producer, value, 0)))
  assert.deepEqual(
    scene.seen.flatMap((batch) => batch.values),
    values,
  )
})

test('calls in a row keep their order when the buffer is full', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer({ bufferMemory: 500 })
  const values = Array.from({ length: 50 }, (_, index) => String(index))
  await Promise.all(values.map((value) => send(producer, value, 0)))
  assert.deepEqual(
    scene.seen.flatMap((batch) => batch.values),
    values,
  )
})

test('with acks=0 nothing is answered, and nothing known of offsets', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer({ acks: 0 })
  assert.equal((await send(producer, 'a')).offset, -1n)
  assert.equal((await send(producer, 'b')).offset, -1n)
  await producer.close()
  assert.equal(scene.seen[0]?.producerId ?? -1n, -1n)
})

test('compressed batches say so', async () => {
  await using scene = await Scene.start()
  await send(scene.producer({ compression: 'zstd' }), 'a'.repeat(1000))
  assert.equal(scene.seen[0].codec, 4)
})

test('a partition that does not exist is refused without asking', async () => {
  await using scene = await Scene.start(2)
  await assert.rejects(send(scene.producer(), 'a', 2), /has no partition 2/)
  assert.equal(scene.seen.length, 0)
})

test('a closed producer has sent all it took, and takes no more', async () => {
  await using scene = await Scene.start()
  const producer = scene.producer({ lingerMs: 60_000 })
  const sent = send(producer, 'a')
  await producer.close()
  assert.equal((await sent).offset, 0n)
  await assert.rejects(send(producer, 'b'), ClientClosedError)
})
