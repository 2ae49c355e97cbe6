// What histories have found, each as the shortest story that shows it, told on many disks: a seed alone would show something
// else as soon as the log makes one call more.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLogConfig, type LogConfig } from '../log/log-config.ts'
import type { LogEvent } from '../log/log-event.ts'
import { batchOf, FROM_CLIENT, readAll, TOPIC_ID } from '../log/log-fixture.ts'
import { LogManager } from '../log/log-manager.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { baseOffset } from '../protocol/records/batch-header.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import { SimDisk } from './disk.ts'
import { SimClock, Simulation } from './simulation.ts'

const DISKS = 25

class Story {
  readonly simulation: Simulation
  disk: SimDisk
  private clock: SimClock
  private readonly config: LogConfig
  manager!: LogManager
  readonly events: string[] = []
  directories = ['/d0']

  constructor(seed: number, config: Partial<LogConfig>) {
    this.simulation = new Simulation(seed)
    this.disk = SimDisk.create(this.simulation)
    this.clock = new SimClock(this.simulation)
    this.config = { ...defaultLogConfig, segmentBytes: 1000, indexIntervalBytes: 0, ...config }
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.simulation.settle(work)
  }

  private opening(): Promise<LogManager> {
    const { disk, clock, config, directories } = this
    const options = { disk, clock, random: this.simulation.stream('broker'), directories, config: () => config }
    const report = (event: LogEvent) => void this.events.push(event.event)
    return LogManager.open({ ...options, report })
  }

  async open(): Promise<PartitionLog> {
    this.manager = await this.run(this.opening())
    return this.manager.get('t', 0) ?? (await this.run(this.manager.create('t', TOPIC_ID, 0, this.config)))
  }

  /** A process that is to come up, and does not live to. */
  async openCutShort(): Promise<void> {
    void this.opening()
    await this.chance(120)
    this.disk = this.disk.kill()
    this.clock = this.clock.restart()
  }

  async powerCut(): Promise<PartitionLog> {
    this.disk = this.disk.crash()
    this.clock = this.clock.restart()
    return this.open()
  }

  async kill(): Promise<PartitionLog> {
    this.disk = this.disk.kill()
    this.clock = this.clock.restart()
    return this.open()
  }

  /** Some of what is about to happen, as far as chance lets it. */
  async chance(events: number): Promise<void> {
    await this.simulation.turn()
    for (let i = this.simulation.stream('test').below(events); i > 0; i--) await this.simulation.step()
  }

  async append(log: PartitionLog, batches: number, options: { timestamp?: bigint; fill?: number } = {}): Promise<void> {
    for (let i = 0; i < batches; i++) log.append(batchOf(2, options), FROM_CLIENT)
    await this.run(log.flush())
  }
}

function onManyDisks(name: string, config: Partial<LogConfig>, tell: (story: Story, log: PartitionLog) => Promise<void>): void {
  test(name, async () => {
    for (let seed = 0; seed < DISKS; seed++) {
      const story = new Story(seed, config)
      await tell(story, await story.open()).catch((error) => {
        throw new Error(`disk ${seed}: ${error.message}`, { cause: error })
      })
    }
  })
}

onManyDisks('what was cut off does not come back behind what is appended then', {}, async (story, log) => {
  await story.append(log, 12)
  await story.run(log.truncateTo(4n))
  await story.append(log, 1, { fill: 7 })
  const again = await story.powerCut()
  const batches = await story.run(readAll(again))
  assert.deepEqual(
    batches.map((batch) => baseOffset(batch)),
    [0n, 2n, 4n],
  )
})

onManyDisks('the newest record of a segment is found when the power goes after it was sealed', {}, async (story, log) => {
  await story.append(log, 1, { timestamp: 1000n })
  await story.append(log, 1, { timestamp: 5000n })
  await story.run(story.manager.checkpoint())
  await story.run(log.roll())
  await story.append(log, 1, { timestamp: 2000n })
  await story.run(story.manager.checkpoint())
  const again = await story.powerCut()
  assert.equal((await story.run(again.offsetForTimestamp(3000n, again.endOffset)))?.offset, 2n)
})

onManyDisks('deleted records stay deleted when retention has taken their segments', {}, async (story, log) => {
  await story.append(log, 12)
  await story.run(log.advanceLogStartOffset(15n))
  await story.run(log.applyRetention(0, log.flushedOffset))
  await story.run(story.manager.checkpoint())
  const again = await story.powerCut()
  assert.equal(again.logStartOffset, 15n)
  assert.equal(again.endOffset, 24n)
})

onManyDisks('a repeated deletion of records waits for the first', {}, async (story, log) => {
  await story.append(log, 4)
  void log.advanceLogStartOffset(3n)
  await story.run(log.advanceLogStartOffset(3n))
  assert.equal((await story.powerCut()).logStartOffset, 3n)
})

onManyDisks('a topic that a killed process was making keeps what is confirmed in it afterwards', {}, async (story) => {
  void story.manager.create('made', TOPIC_ID, 0, defaultLogConfig).catch(() => {})
  for (let i = story.simulation.stream('test').below(8); i > 0; i--) await story.simulation.step()
  await story.kill()
  const log = story.manager.get('made', 0)
  if (log === undefined) return
  await story.append(log, 1)
  await story.powerCut()
  assert.equal(story.manager.get('made', 0)?.endOffset, 2n)
})

onManyDisks(
  'a log goes on where it ended when all its segments have had their time',
  { retentionBytes: 0 },
  async (story, log) => {
    await story.append(log, 3)
    log.append(batchOf(8), FROM_CLIENT)
    void log.applyRetention(0, log.flushedOffset)
    for (let i = story.simulation.stream('test').below(40); i > 0; i--) await story.simulation.step()
    assert.ok((await story.powerCut()).endOffset >= 6n)
  },
)

// Seed 11867.
onManyDisks('what was deleted from a log is gone, though the log itself could not be deleted', {}, async (story, log) => {
  await story.append(log, 12)
  await story.run(log.advanceLogStartOffset(5n))
  story.disk.faults = [{ under: '/d0/t-0', kinds: ['name'], code: 'EACCES', probability: 1 }]
  await assert.rejects(story.run(story.manager.delete('t', 0)), { code: 'KAFKA_STORAGE_ERROR' })
  await story.run(story.manager.close())
  assert.equal((await story.powerCut()).logStartOffset, 5n)
})

// Seed 96030.
onManyDisks('a shutdown waits for the deletion of a log', {}, async (story, log) => {
  await story.append(log, 2)
  void story.manager.delete('t', 0)
  await story.run(story.manager.close())
  assert.ok(!story.disk.peekNames('/d0').includes('t-0'))
})

onManyDisks('a topic that is made again at once does not meet the one that is being deleted', {}, async (story, log) => {
  await story.append(log, 2)
  void story.manager.delete('t', 0)
  const again = await story.run(story.manager.create('t', TOPIC_ID, 0, defaultLogConfig))
  await story.append(again, 1)
  assert.equal((await story.powerCut()).endOffset, 2n)
})

onManyDisks(
  'a power cut at any moment of a compaction leaves what was the newest of each key, once',
  { compacts: true, minCleanableDirtyRatio: 0, segmentBytes: 600 },
  async (story, log) => {
    await story.append(log, 12)
    await story.run(log.roll())
    void story.manager.compact()
    await story.chance(120)
    const again = await story.powerCut()
    const offsets = (await story.run(readAll(again))).flatMap((batch) => [...decodeRecords(batch)].map(({ offset }) => offset))
    assert.deepEqual(offsets.slice(-2), [22n, 23n])
    assert.equal(new Set(offsets).size, offsets.length)
    assert.ok(offsets.every((offset, i) => i === 0 || offset > offsets[i - 1]))
  },
)

/** Copied from a log that was compacted. */
const WITH_HOLES = [0n, 5n, 9n, 20n, 26n, 40n].map((baseOffset) => batchOf(2, { baseOffset, leaderEpoch: 0 }))

onManyDisks('holes in a copied log are no losses, wherever segments begin', { segmentBytes: 300 }, async (story, log) => {
  for (const batch of WITH_HOLES) log.append(Buffer.from(batch), { origin: 'replica', leaderEpoch: -1 })
  await story.run(log.flush())
  await story.kill()
  const again = await story.powerCut()
  assert.equal(again.endOffset, 42n)
  assert.equal((await story.run(readAll(again))).length, WITH_HOLES.length)
})

onManyDisks('a log that was cut in a hole goes on there after a power cut', { segmentBytes: 300 }, async (story, log) => {
  for (const batch of WITH_HOLES) log.append(Buffer.from(batch), { origin: 'replica', leaderEpoch: -1 })
  await story.run(log.truncateTo(35n))
  const again = await story.powerCut()
  assert.equal(again.endOffset, 35n)
  assert.equal((await story.run(readAll(again))).length, 5)
})

onManyDisks('a read that a cut overtakes finds no damage', { flushPolicy: 'os' }, async (story, log) => {
  await story.append(log, 12)
  const again = await story.kill()
  const reading = (async () => again.read(7n, { maxBytes: 10_000, limitOffset: 24n, atLeastOneBatch: true }))()
  await story.chance(4)
  const cut = again.truncateTo(8n).then(() => again.append(batchOf(3, { fill: 9 }), FROM_CLIENT))
  const { chunks } = await story.run(reading)
  await story.run(cut)
  assert.ok(chunks.length > 0)
  await story.run(readAll(again))
  assert.ok(!story.events.includes('corrupt-batch'))
})

onManyDisks(
  'what is written under os is synced when the topic becomes one of group',
  { flushPolicy: 'os' },
  async (story, log) => {
    log.append(batchOf(2), FROM_CLIENT)
    await story.simulation.advance(10)
    assert.equal(log.flushedOffset, 0n)
    log.config = { ...log.config, flushPolicy: 'group' }
    await story.simulation.advance(10)
    assert.equal(log.flushedOffset, 2n)
  },
)

// Seed 11895.
onManyDisks(
  'a compaction waits for the sync of the segment that is being sealed',
  { compacts: true, minCleanableDirtyRatio: 0, segmentBytes: 600, flushPolicy: 'group' },
  async (story, log) => {
    story.disk.slow = true
    for (let round = 0; round < 8; round++) {
      await story.append(log, 3)
      void log.roll()
      await story.run(story.manager.compact())
    }
    await story.simulation.advance(2000)
    const again = await story.powerCut()
    for (const batch of await story.run(readAll(again))) {
      const options = { maxBytes: 1, limitOffset: again.endOffset, atLeastOneBatch: true }
      const { chunks } = await story.run((async () => again.read(baseOffset(batch) + 1n, options))())
      assert.equal(baseOffset(chunks[0]), baseOffset(batch))
    }
  },
)

// Seed 13854.
onManyDisks('what is appended while retention makes up its mind is not deleted with the rest', {}, async (story, log) => {
  await story.append(log, 2)
  await story.run(log.advanceLogStartOffset(4n))
  const retention = log.applyRetention(0, 4n)
  for (let turns = story.simulation.stream('test').below(20); turns > 0; turns--) await undefined
  await story.append(log, 1)
  await story.run(retention)
  const [batch] = await story.run(readAll(log))
  assert.equal(baseOffset(batch), 4n)
})

// Seeds 8522 and 25176.
onManyDisks('of a log whose creation failed in another directory first, nothing is left in the way', {}, async (story) => {
  await story.run(story.manager.close())
  story.directories = ['/d0', '/d1']
  await story.kill()
  // As many logs here as there.
  await story.run(story.manager.create('other', TOPIC_ID, 0, defaultLogConfig))
  story.disk.faults = [{ under: '/d0/made-0', kinds: ['sync'], code: 'ENOSPC', nth: 2 }]
  const made = await story.run(story.manager.create('made', TOPIC_ID, 0, defaultLogConfig))
  assert.equal(made.directory, '/d1')
  await story.append(made, 1)
  story.disk.faults = []
  await story.kill()
  assert.equal(story.manager.get('made', 0)?.endOffset, 2n)
  await story.powerCut()
  assert.equal(story.manager.get('made', 0)?.endOffset, 2n)
  assert.equal(story.disk.peekNames('/d0').includes('made-0') && story.disk.peekNames('/d1').includes('made-0'), false)
})

onManyDisks('a cut that a failing disk overtakes fails, too', {}, async (story, log) => {
  await story.append(log, 2)
  story.disk.faults = [{ under: '/d0/t-0', kinds: ['write'], code: 'EIO', probability: 1 }]
  for (let i = 0; i < 8; i++) log.append(batchOf(2), FROM_CLIENT)
  await assert.rejects(story.run(log.truncateTo(3n)), { code: 'KAFKA_STORAGE_ERROR' })
})

// Seed 31383.
onManyDisks('who waits for a log to be flushed that is reset meanwhile waits no longer than for that', {}, async (story, log) => {
  await story.append(log, 4)
  const reset = log.resetTo(5n)
  await story.chance(12)
  const flushed = log.flush(5n).catch(() => {})
  await story.run(Promise.all([reset, flushed]))
})

// Seed 32139.
onManyDisks('indexes that a recovery has not come to the end of are made anew by the next', {}, async (story, log) => {
  await story.append(log, 2, { timestamp: 5000n })
  await story.append(log, 2, { timestamp: 2000n })
  await story.run(log.roll())
  await story.run(story.manager.checkpoint())
  story.disk = story.disk.kill()
  // As after a swap that was cut short.
  await story.run(story.disk.remove('/d0/t-0/00000000000000000000.index'))
  await story.openCutShort()
  const again = await story.kill()
  assert.equal((await story.run(again.offsetForTimestamp(3000n, again.endOffset)))?.offset, 0n)
  assert.equal((await story.run(again.offsetOfMaxTimestamp(again.endOffset)))?.offset, 0n)
})
