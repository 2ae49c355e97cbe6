// Damage that nobody reads is found all the same: slowly, and once a pass.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogEvent } from './log-event.ts'
import { batchOf, FROM_CLIENT, LogFixture, readAll, settled, TOPIC_ID } from './log-fixture.ts'
import { defaultLogTuning } from './log-tuning.ts'

const batchSize = batchOf(2).length
const DAY_MS = 86_400_000
const FAST = 1_000_000_000
const SECOND = '00000000000000000008.log'

/** Two logs of five segments of four batches, the last one half full. */
async function filled(): Promise<LogFixture> {
  const fixture = new LogFixture({ segmentBytes: 4 * batchSize })
  // All is read from the files.
  fixture.limits = { cacheBytes: 0 }
  allow(fixture, FAST)
  await fixture.open()
  const { manager, config } = fixture
  for (const log of [await fixture.log(), await manager.create('u', TOPIC_ID, 0, config)]) {
    for (let i = 0; i < 18; i++) log.append(batchOf(2, { fill: i }), FROM_CLIENT)
    await log.flush()
  }
  // The first pass is put off: everything is new.
  await manager.scrub()
  return fixture
}

function allow(fixture: LogFixture, maxBytesPerSecond: number): void {
  fixture.tuning = { ...defaultLogTuning, scrub: { intervalMs: DAY_MS, maxBytesPerSecond } }
}

/** In place, under the eyes of whoever has the file open. */
async function flip(fixture: LogFixture, name: string, at: number): Promise<void> {
  const file = await fixture.disk.open(fixture.path(name), 'write')
  const byte = Buffer.alloc(1)
  await file.read(byte, at)
  await file.write([Buffer.of(byte[0] ^ 16)], at)
  await file.close()
}

const corrupt = ({ events }: LogFixture): LogEvent[] => events.filter(({ event }) => event === 'corrupt-batch')

/** Lets the clock run until `work` is done; returns how many milliseconds that took. */
async function elapsed(fixture: LogFixture, work: Promise<void>): Promise<number> {
  let done = false
  void work.then(() => {
    done = true
  })
  let ms = 0
  for (await settled(); !done; await settled()) {
    fixture.clock.advance(1)
    ms++
  }
  return ms
}

test('a flipped bit in a sealed segment is reported with file and position, and the other partitions are not affected', async () => {
  const fixture = await filled()
  await flip(fixture, SECOND, 2 * batchSize + 90)
  await fixture.manager.scrub()
  assert.deepEqual(corrupt(fixture), [])
  fixture.clock.advance(DAY_MS)
  await elapsed(fixture, fixture.manager.scrub())
  const file = fixture.path(SECOND)
  const reason = 'the checksum does not match'
  assert.deepEqual(corrupt(fixture), [
    { event: 'corrupt-batch', topic: 't', partition: 0, file, position: 2 * batchSize, reason },
  ])
  await fixture.manager.scrub()
  assert.equal(corrupt(fixture).length, 1)
  const log = await fixture.log()
  const read = (from: bigint) => log.read(from, { maxBytes: 10, limitOffset: 36n, atLeastOneBatch: true })
  await assert.rejects(async () => read(12n), /checksum/)
  assert.equal((await read(14n)).size, batchSize)
  assert.equal((await readAll(fixture.manager.get('u', 0)!)).length, 18)
  assert.equal(log.append(batchOf(1), FROM_CLIENT).firstOffset, 36n)
})

test('a file that was cut is reported as well', async () => {
  const fixture = await filled()
  const file = await fixture.disk.open(fixture.path(SECOND), 'write')
  await file.truncate(3 * batchSize + 9)
  await file.close()
  fixture.clock.advance(DAY_MS)
  await elapsed(fixture, fixture.manager.scrub())
  assert.deepEqual(
    corrupt(fixture).map((event) => event.event === 'corrupt-batch' && event.position),
    [3 * batchSize],
  )
})

test('no more is read in a second than is allowed, and a shutdown does not wait for it', async () => {
  const fixture = await filled()
  fixture.clock.advance(DAY_MS)
  const bytes = 2 * 16 * batchSize
  allow(fixture, bytes)
  const ms = await elapsed(fixture, fixture.manager.scrub())
  // All but the first segment's have to wait.
  assert.ok(ms > 800 && ms <= 1000, `${ms} ms`)
  fixture.clock.advance(DAY_MS)
  allow(fixture, 1)
  const scrub = fixture.manager.scrub()
  await settled()
  await fixture.manager.close()
  await scrub
})

test('the pace and the interval may change at any time', async () => {
  const fixture = await filled()
  fixture.clock.advance(DAY_MS)
  allow(fixture, 16 * batchSize)
  const scrub = fixture.manager.scrub()
  await settled()
  allow(fixture, FAST)
  assert.ok((await elapsed(fixture, scrub)) < 1100)
  await flip(fixture, SECOND, 90)
  fixture.clock.advance(1000)
  await elapsed(fixture, fixture.manager.scrub())
  assert.deepEqual(corrupt(fixture), [])
  fixture.tuning = { ...defaultLogTuning, scrub: { intervalMs: 1000, maxBytesPerSecond: FAST } }
  await elapsed(fixture, fixture.manager.scrub())
  assert.equal(corrupt(fixture).length, 1)
})

test('a pass that a restart cuts short goes on where it was', async () => {
  const fixture = await filled()
  fixture.clock.advance(DAY_MS)
  allow(fixture, 16 * batchSize)
  const scrub = fixture.manager.scrub()
  // Through the first log, and into the second.
  for (let i = 0; i < 1200; i++) {
    await settled()
    fixture.clock.advance(1)
  }
  await fixture.manager.close()
  await scrub
  const read = new Set<string>()
  fixture.onDiskCall = (operation, path) => {
    if (operation === 'read' && path.endsWith('.log')) read.add(path.split('/')[2])
  }
  await fixture.open()
  read.clear()
  await elapsed(fixture, fixture.manager.scrub())
  assert.deepEqual([...read], ['u-0'])
})
