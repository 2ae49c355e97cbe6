import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { ConsumerRecord } from './fetched-records.ts'
import { Progress } from './progress.ts'
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts'

function record(offset: number, key: string | null = null, partition = 0): ConsumerRecord {
  return {
    topic: 't',
    partition,
    offset: BigInt(offset),
    timestamp: 0n,
    timestampType: 'CreateTime',
    key: key === null ? null : Buffer.from(key),
    value: Buffer.from(`${offset}`),
    headers: [],
    leaderEpoch: 7,
  }
}

/** A queue whose handlers end when the test says so. */
class Bench {
  readonly started: string[] = []
  readonly errors: unknown[] = []
  readonly queue: WorkQueue
  private readonly open = new Map<string, { resolve: () => void; reject: (error: Error) => void }>()

  constructor(options: Partial<WorkQueueOptions> = {}) {
    this.queue = new WorkQueue({
      concurrency: 10,
      order: 'partition',
      batchSize: 1,
      onError: (error) => this.errors.push(error),
      onFinished: () => {},
      work: (records) => {
        const name = records.map(({ partition, offset }) => `${partition}:${offset}`).join()
        this.started.push(name)
        return new Promise<void>((resolve, reject) => this.open.set(name, { resolve, reject }))
      },
      ...options,
    })
  }

  async finish(name: string, error?: Error): Promise<void> {
    const handler = this.open.get(name)
    assert.ok(handler, `${name} is not under way`)
    if (error === undefined) handler.resolve()
    else handler.reject(error)
    await turn()
  }

  positions(): string {
    return [0, 1]
      .flatMap((partition) => {
        const passed = this.queue.passed({ topic: 't', partition })
        return passed === undefined ? [] : [`${partition}:${passed.offset}`]
      })
      .join()
  }
}

const partition = { topic: 't', partition: 0 }

test('records of a partition run one after the other, partitions side by side', async () => {
  const bench = new Bench()
  bench.queue.add([record(0), record(1), record(0, null, 1)])
  assert.deepEqual(bench.started, ['0:0', '1:0'])
  await bench.finish('0:0')
  assert.deepEqual(bench.started, ['0:0', '1:0', '0:1'])
})

test('records with different keys run side by side, those with the same key in order', async () => {
  const bench = new Bench({ order: 'key' })
  bench.queue.add([record(0, 'a'), record(1, 'b'), record(2, 'a'), record(3, null), record(4, null)])
  assert.deepEqual(bench.started, ['0:0', '0:1', '0:3', '0:4'])
  await bench.finish('0:0')
  assert.deepEqual(bench.started.at(-1), '0:2')
})

test('no more run at a time than may', async () => {
  const bench = new Bench({ order: 'none', concurrency: 2 })
  bench.queue.add([record(0), record(1), record(2)])
  assert.deepEqual(bench.started, ['0:0', '0:1'])
  await bench.finish('0:1')
  assert.deepEqual(bench.started, ['0:0', '0:1', '0:2'])
})

test('a commit never passes an unfinished record', async () => {
  const bench = new Bench({ order: 'none' })
  bench.queue.add([record(3), record(4), record(9)])
  await bench.finish('0:9')
  await bench.finish('0:4')
  assert.equal(bench.positions(), '')
  await bench.finish('0:3')
  assert.equal(bench.positions(), '0:10')
})

test('a batch takes what waits in its lane, up to its size', async () => {
  const bench = new Bench({ batchSize: 2 })
  bench.queue.add([record(0), record(1), record(2)])
  await bench.finish('0:0,0:1')
  assert.deepEqual(bench.started, ['0:0,0:1', '0:2'])
})

test('partitions that are given up start nothing more, and are settled when what runs has ended', async () => {
  const bench = new Bench()
  bench.queue.add([record(0), record(1)])
  let settled = false
  const settling = bench.queue.settle([partition]).then(() => {
    settled = true
  })
  await turn()
  assert.equal(settled, false)
  await bench.finish('0:0')
  await settling
  assert.equal(bench.positions(), '0:1')
  bench.queue.forget([partition])
  assert.deepEqual(bench.started, ['0:0'])
  assert.equal(bench.positions(), '')
})

test('what finishes after its partition was forgotten does not count for its next life', async () => {
  const bench = new Bench()
  bench.queue.add([record(5)])
  bench.queue.forget([partition])
  bench.queue.add([record(2)])
  await bench.finish('0:5')
  assert.equal(bench.positions(), '')
  await bench.finish('0:2')
  assert.equal(bench.positions(), '0:3')
})

test('an error stops the queue, before the record that failed', async () => {
  const bench = new Bench()
  bench.queue.add([record(0), record(1), record(2), record(0, null, 1)])
  await bench.finish('0:0')
  await bench.finish('0:1', new Error('no'))
  assert.match(String(bench.errors[0]), /no/)
  const stopping = bench.queue.stop()
  await bench.finish('1:0')
  await stopping
  assert.deepEqual(bench.started, ['0:0', '1:0', '0:1'])
  assert.equal(bench.positions(), '0:1,1:1')
})

test('handlers that are synchronous run without a turn in between, however many', () => {
  let count = 0
  const bench = new Bench({
    work: () => {
      count++
    },
  })
  bench.queue.add(Array.from({ length: 20_000 }, (_, offset) => record(offset)))
  assert.equal(count, 20_000)
  assert.equal(bench.positions(), '0:20000')
  assert.deepEqual(bench.queue.load(partition), { records: 0, bytes: 0 })
})

test('progress equals that of a list in which each record is looked at, in any order of ends', () => {
  for (let seed = 1; seed < 50; seed++) {
    const progress = new Progress()
    const open = Array.from({ length: 40 }, (_, i) => BigInt(i * 2))
    for (const offset of open) progress.started(offset)
    const unfinished = [...open]
    let state = seed
    while (unfinished.length > 0) {
      state = (state * 48271) % 2147483647
      const [offset] = unfinished.splice(state % unfinished.length, 1)
      progress.finished(offset)
      const expected = unfinished.length === 0 ? 79n : open[open.indexOf(unfinished[0]) - 1]
      const passed = unfinished.length === 0 ? 79n : expected === undefined ? undefined : expected + 1n
      assert.equal(progress.passed, passed)
    }
    assert.equal(progress.pending, 0)
  }
})
