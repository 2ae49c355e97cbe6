// Writing in groups, syncs by policy, disks that fail, directories, retention: what goes on around the appends.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { realClock } from '../host/clock.ts'
import { DiskError } from '../host/disk.ts'
import { ManualClock } from '../host/manual-clock.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { realRandom, seededRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { defaultLogConfig } from './log-config.ts'
import { LogDirectoryError } from './log-directory.ts'
import { batchOf, FROM_CLIENT, LogFixture, readAll, settled, TOPIC_ID } from './log-fixture.ts'
import { LogManager } from './log-manager.ts'
import type { LogObserver, PartitionLog } from './partition-log.ts'

const batchSize = batchOf(2).length
const storageError = (error: unknown) => error instanceof KafkaError && error.code === 'KAFKA_STORAGE_ERROR'

class Told implements LogObserver {
  highWatermark = 0n
  readonly told: string[] = []
  onWritten(log: PartitionLog): void {
    this.told.push(`written ${log.writtenOffset}`)
  }
  onFlushed(log: PartitionLog): void {
    this.told.push(`flushed ${log.flushedOffset}`)
  }
  onDiscarded(log: PartitionLog): void {
    this.told.push(`discarded from ${log.endOffset}`)
  }
  onFailure(_log: PartitionLog, error: KafkaError): void {
    this.told.push(error.code)
  }
}

/** What is done to the files of batches, from now on. */
function callsOn(fixture: LogFixture): string[] {
  const calls: string[] = []
  fixture.onDiskCall = (operation, path) => {
    if (path.endsWith('.log') && (operation === 'write' || operation === 'sync')) calls.push(operation)
  }
  return calls
}

describe('writing', () => {
  test('what is appended in one turn is one write and one sync, and is told once', async () => {
    const fixture = await new LogFixture().open()
    const log = await fixture.log()
    log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    const calls = callsOn(fixture)
    const observer = new Told()
    log.observer = observer
    for (let i = 0; i < 100; i++) log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    assert.deepEqual(calls, ['write', 'sync'])
    assert.deepEqual(observer.told, ['written 202', 'flushed 202'])
  })

  test('what comes during a write goes with the next one', async () => {
    const fixture = await new LogFixture({ flushPolicy: 'os' }).open()
    const log = await fixture.log()
    log.append(batchOf(2), FROM_CLIENT)
    await settled()
    const calls = callsOn(fixture)
    for (let i = 0; i < 50; i++) {
      log.append(batchOf(2), FROM_CLIENT)
      await null
    }
    await settled()
    assert.equal(log.writtenOffset, 102n)
    assert.ok(calls.length < 25, `${calls.length} writes for 50 batches`)
  })

  test('a batch that is being written is served from memory', async () => {
    const log = await (await new LogFixture().open()).log()
    log.append(batchOf(2), FROM_CLIENT)
    assert.equal(log.writtenOffset, 0n)
    const result = log.read(0n, { maxBytes: 1, limitOffset: 2n, atLeastOneBatch: true })
    assert.ok(!(result instanceof Promise) && result.size === batchSize)
  })

  test('under flush.policy=os nothing is synced but sealed segments, and what flush.messages asks for', async () => {
    const fixture = await new LogFixture({ flushPolicy: 'os', segmentBytes: 4 * batchSize }).open()
    const log = await fixture.log()
    for (let i = 0; i < 6; i++) log.append(batchOf(2), FROM_CLIENT)
    await settled()
    assert.deepEqual([log.writtenOffset, log.flushedOffset], [12n, 8n])
    // Holds for what is written already.
    log.config = { ...log.config, flushMessages: 3 }
    await settled()
    assert.equal(log.flushedOffset, 12n)
    for (const flushedOffset of [12n, 16n]) {
      log.append(batchOf(2), FROM_CLIENT)
      await settled()
      assert.equal(log.flushedOffset, flushedOffset)
    }
  })

  test('under flush.policy=interval a sync follows within flush.ms, with one timer while there is something to sync', async () => {
    const fixture = await new LogFixture({ flushPolicy: 'interval', flushMs: 50 }).open()
    const log = await fixture.log()
    assert.equal(fixture.clock.pending, 0)
    for (let i = 0; i < 5; i++) log.append(batchOf(2), FROM_CLIENT)
    await settled()
    assert.deepEqual([log.flushedOffset, fixture.clock.pending], [0n, 1])
    fixture.clock.advance(50)
    await settled()
    assert.deepEqual([log.flushedOffset, fixture.clock.pending], [10n, 0])
  })

  test('the batches of a new leader epoch are written when the epoch is durable, not before', async () => {
    const fixture = await new LogFixture().open()
    const log = await fixture.log()
    const order: string[] = []
    fixture.onDiskCall = (operation, path) => {
      if (path.endsWith('leader-epoch-checkpoint')) order.push('epoch')
      if (path.endsWith('.log') && operation === 'write' && order.at(-1) !== 'batch') order.push('batch')
    }
    log.append(batchOf(1), { origin: 'client', leaderEpoch: 1 })
    await log.flush()
    log.append(batchOf(1), { origin: 'client', leaderEpoch: 1 })
    await log.flush()
    log.append(batchOf(1), { origin: 'client', leaderEpoch: 2 })
    await log.flush()
    assert.deepEqual(order, ['epoch', 'batch', 'epoch', 'batch'])
  })
})

describe('memory', () => {
  test('the cache of newest batches is bounded over all logs, and what it lost is read from the files', async () => {
    const fixture = new LogFixture()
    fixture.limits = { cacheBytes: 10 * batchSize }
    await fixture.open()
    const logs = await Promise.all([0, 1, 2].map((i) => fixture.manager.create('u', TOPIC_ID, i, fixture.config)))
    for (let i = 0; i < 30; i++) logs[i % 3].append(batchOf(2), FROM_CLIENT)
    await Promise.all(logs.map((log) => log.flush()))
    const options = { maxBytes: 1, limitOffset: 20n, atLeastOneBatch: true }
    for (const log of logs) {
      assert.ok(log.read(0n, options) instanceof Promise)
      assert.ok(!(log.read(16n, options) instanceof Promise))
      assert.equal((await readAll(log)).length, 10)
    }
  })

  test('a small batch does not keep the large buffer alive that it came in', async () => {
    const log = await (await new LogFixture().open()).log()
    const chunk = Buffer.alloc(65_536)
    const batch = chunk.subarray(100, 100 + batchOf(2).copy(chunk, 100))
    log.append(batch, FROM_CLIENT)
    const { chunks } = await log.read(0n, { maxBytes: 1, limitOffset: 2n, atLeastOneBatch: true })
    assert.notEqual(chunks[0].buffer, chunk.buffer)
  })

  test('files are opened on use, and no more of them than the limit stay open', async () => {
    const fixture = new LogFixture({ segmentBytes: 2 * batchSize })
    fixture.limits = { cacheBytes: 0, openFiles: 10 }
    let open = 0
    let most = 0
    fixture.onDiskCall = (operation) => {
      if (operation === 'open') open++
      if (operation === 'close') open--
      most = Math.max(most, open)
    }
    await fixture.open()
    const log = await fixture.log()
    for (let i = 0; i < 200; i++) log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    assert.equal((await readAll(log)).length, 200)
    // Files in use are beyond the limit, and snapshots do not count.
    assert.ok(most <= 14, `${most} files open`)
  })
})

describe('a disk that fails', () => {
  async function failing(operation: string, code: string) {
    const fixture = await new LogFixture().open()
    const log = await fixture.log()
    const other = await fixture.manager.create('u', TOPIC_ID, 0, fixture.config)
    log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    const observer = new Told()
    log.observer = observer
    fixture.onDiskCall = (called, path) => {
      if (called === operation && path.endsWith('.log')) throw new DiskError(code, path, `${path}: ${code}`)
    }
    return { fixture, log, other, observer }
  }

  for (const operation of ['write', 'sync']) {
    test(`in a ${operation} takes its directory offline with all its logs, and is reported once`, async () => {
      const { fixture, log, other, observer } = await failing(operation, 'EIO')
      log.append(batchOf(2), FROM_CLIENT)
      await assert.rejects(log.flush())
      assert.equal(observer.told.at(-1), 'KAFKA_STORAGE_ERROR')
      fixture.onDiskCall = () => {}
      for (const failed of [log, other]) assert.throws(() => failed.append(batchOf(1), FROM_CLIENT), storageError)
      assert.throws(() => log.read(0n, { maxBytes: 1, limitOffset: 2n, atLeastOneBatch: true }), storageError)
      assert.deepEqual(
        fixture.events.map(({ event }) => event),
        ['directory-offline'],
      )
      await fixture.manager.close()
      assert.equal(await fixture.disk.exists('/data/.kafka_cleanshutdown'), false)
    })
  }

  test('by being full takes back what was not written, serves readers, and takes appends again when there is room', async () => {
    const { fixture, log, observer } = await failing('write', 'ENOSPC')
    assert.equal(log.append(batchOf(2), FROM_CLIENT).firstOffset, 2n)
    await settled()
    assert.deepEqual(observer.told, ['discarded from 2'])
    assert.throws(() => log.append(batchOf(2), FROM_CLIENT), storageError)
    assert.equal((await readAll(log)).length, 1)
    fixture.onDiskCall = () => {}
    fixture.clock.advance(1000)
    await settled()
    assert.equal(log.append(batchOf(2), FROM_CLIENT).firstOffset, 2n)
    await log.flush()
    assert.deepEqual(
      fixture.events.map(({ event }) => event),
      ['directory-full', 'directory-has-room'],
    )
    assert.equal((await readAll(await fixture.crash())).length, 2)
  })

  test('while loading is an error that names the directory', async () => {
    const fixture = await new LogFixture().open()
    const log = await fixture.log()
    log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    fixture.disk = fixture.disk.kill()
    fixture.onDiskCall = (operation, path) => {
      if (operation === 'read' && path.endsWith('.log')) throw new DiskError('EIO', path, `${path}: EIO`)
    }
    await assert.rejects(fixture.open(), (error) => error instanceof LogDirectoryError && error.directory === '/data')
  })

  test('of several takes only its own logs away', async () => {
    const disk = new MemoryDisk()
    const manager = await LogManager.open({
      disk,
      clock: new ManualClock(),
      random: seededRandom(1),
      directories: ['/one', '/two'],
      config: () => defaultLogConfig,
      report: () => {},
    })
    const [a, b] = [
      await manager.create('t', TOPIC_ID, 0, defaultLogConfig),
      await manager.create('t', TOPIC_ID, 1, defaultLogConfig),
    ]
    assert.deepEqual([a.directory, b.directory], ['/one', '/two'])
    a.logDirectory.fail(new Error('unplugged'))
    assert.throws(() => a.append(batchOf(1), FROM_CLIENT), storageError)
    assert.equal(b.append(batchOf(1), FROM_CLIENT).firstOffset, 0n)
    assert.equal((await manager.create('t', TOPIC_ID, 2, defaultLogConfig)).directory, '/two')
    await manager.close()
  })
})

describe('a log directory', () => {
  test('in use is refused with what to do about it', async () => {
    const fixture = await new LogFixture().open()
    await assert.rejects(
      new LogFixture({}, fixture.disk).open(),
      (error) => error instanceof LogDirectoryError && error.kind === 'in-use' && /another directory/.test(error.message),
    )
    await fixture.manager.close()
    await new LogFixture({}, fixture.disk).open()
  })

  test('of another node or cluster is refused, and stays unlocked', async () => {
    const disk = new MemoryDisk()
    const open = (nodeId: number, clusterId: string) =>
      LogManager.open({
        disk,
        clock: new ManualClock(),
        random: seededRandom(1),
        directories: ['/data'],
        identity: { nodeId, clusterId },
        config: () => defaultLogConfig,
        report: () => {},
      })
    const manager = await open(1, 'a')
    const { id } = manager.directories[0]
    await manager.close()
    await assert.rejects(open(2, 'a'), (error) => error instanceof LogDirectoryError && error.kind === 'another-node')
    await assert.rejects(open(1, 'b'), (error) => error instanceof LogDirectoryError && error.kind === 'another-cluster')
    assert.equal((await open(1, 'a')).directories[0].id, id)
  })

  test('loses a deleted log at once, and its files after file.delete.delay.ms', async () => {
    const fixture = await new LogFixture({ fileDeleteDelayMs: 1000 }).open()
    const log = await fixture.log()
    const observer = new Told()
    log.observer = observer
    log.append(batchOf(2), FROM_CLIENT)
    await fixture.manager.delete('t', 0)
    assert.equal(observer.told.at(-1), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(fixture.manager.get('t', 0), undefined)
    const names = async () => (await fixture.disk.list('/data')).map(({ name }) => name).filter((name) => name.startsWith('t-0'))
    assert.match((await names())[0], /^t-0\.[0-9a-f]{32}-delete$/)
    fixture.clock.advance(1000)
    await settled()
    assert.deepEqual(await names(), [])
  })
})

describe('retention', () => {
  /** Three segments of four batches, a second of time apart, and an active one of one batch. */
  async function aged() {
    const fixture = await new LogFixture({ segmentBytes: 4 * batchSize, fileDeleteDelayMs: 500 }).open()
    const log = await fixture.log()
    const observer = new Told()
    log.observer = observer
    for (let i = 0; i < 13; i++) {
      log.append(batchOf(2, { timestamp: BigInt(fixture.clock.wallMs()) }), FROM_CLIENT)
      if (i % 4 === 3) fixture.clock.advance(1000)
    }
    await log.flush()
    observer.highWatermark = log.endOffset
    return { fixture, log, observer }
  }

  const bases = (log: PartitionLog) => log.segments.map(({ baseOffset }) => baseOffset)

  test('is first looked after log.initial.task.delay.ms after the start, and then every log.retention.check.interval.ms', async () => {
    const fixture = await new LogFixture({ retentionMs: 1000 }).open()
    const log = await fixture.log()
    fixture.manager.start({ initialDelayMs: 30_000, retentionCheckMs: 300_000 })
    const append = async () => {
      log.append(batchOf(1, { timestamp: BigInt(fixture.clock.wallMs()) }), FROM_CLIENT)
      await log.flush()
    }
    await append()
    fixture.clock.advance(29_999)
    await settled()
    assert.equal(log.logStartOffset, 0n)
    fixture.clock.advance(1)
    await settled()
    assert.equal(log.logStartOffset, 1n)
    await append()
    fixture.clock.advance(269_999)
    await settled()
    assert.equal(log.logStartOffset, 1n)
    fixture.clock.advance(1)
    await settled()
    assert.equal(log.logStartOffset, 2n)
    await fixture.manager.close()
  })

  test('by time goes by the newest timestamp of each segment', async () => {
    const { fixture, log } = await aged()
    log.config = { ...log.config, retentionMs: 2500 }
    await fixture.manager.checkRetention()
    assert.deepEqual([log.logStartOffset, bases(log)], [8n, [8n, 16n, 24n]])
    assert.deepEqual((await fixture.files('.deleted')).length > 0, true)
    fixture.clock.advance(500)
    await settled()
    assert.deepEqual(await fixture.files('.deleted'), [])
  })

  test('by size keeps at least retention.bytes', async () => {
    const { fixture, log } = await aged()
    log.config = { ...log.config, retentionMs: -1, retentionBytes: 5 * batchSize }
    await fixture.manager.checkRetention()
    assert.deepEqual([log.logStartOffset, log.sizeBytes], [16n, 5 * batchSize])
  })

  test('takes the active segment too when its time has come, and the next offset is kept', async () => {
    const { fixture, log } = await aged()
    log.config = { ...log.config, retentionMs: 0 }
    fixture.clock.advance(10)
    await fixture.manager.checkRetention()
    assert.deepEqual([log.logStartOffset, log.endOffset, log.sizeBytes], [26n, 26n, 0])
    const again = await fixture.crash()
    assert.deepEqual([again.logStartOffset, again.endOffset], [26n, 26n])
    assert.equal(again.append(batchOf(1), FROM_CLIENT).firstOffset, 26n)
  })

  test('never goes beyond the high watermark', async () => {
    const { fixture, log, observer } = await aged()
    log.config = { ...log.config, retentionMs: 0 }
    observer.highWatermark = 12n
    fixture.clock.advance(10)
    await fixture.manager.checkRetention()
    assert.equal(log.logStartOffset, 8n)
  })

  test('a segment with a timestamp from the future stays, and holds back those behind it', async () => {
    const { fixture, log } = await aged()
    log.config = { ...log.config, segmentBytes: 10 * batchSize, retentionMs: -1 }
    log.append(batchOf(2, { timestamp: BigInt(fixture.clock.wallMs()) + 3_000_000n }), FROM_CLIENT)
    await log.roll()
    log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    log.config = { ...log.config, retentionMs: 100 }
    fixture.clock.advance(1_000_000)
    await log.applyRetention(fixture.clock.wallMs(), log.endOffset)
    assert.deepEqual(bases(log), [24n, 28n])
  })

  test('removes segments that lie below the start of the log, also from a topic that is only compacted', async () => {
    const { fixture, log } = await aged()
    log.config = { ...log.config, deletes: false, compacts: true }
    await log.advanceLogStartOffset(17n)
    await fixture.manager.checkRetention()
    assert.deepEqual([log.logStartOffset, bases(log)], [17n, [16n, 24n]])
  })
})

describe('rolling', () => {
  test('by time goes by the timestamps of the records, less a jitter of the segment', async () => {
    const fixture = await new LogFixture({ segmentMs: 10_000 }).open()
    const log = await fixture.log()
    const at = (ms: number) => log.append(batchOf(1, { timestamp: 1_750_000_000_000n + BigInt(ms) }), FROM_CLIENT)
    at(0)
    at(10_000)
    assert.equal(log.segments.length, 1)
    at(10_001)
    assert.equal(log.segments.length, 2)
    log.config = { ...log.config, segmentJitterMs: 5000 }
    at(21_000)
    assert.equal(log.segments.length, 3)
    const { jitterMs } = log.segments[2]
    assert.ok(jitterMs > 0 && jitterMs < 5000)
    at(21_000 + 10_000 - jitterMs)
    assert.equal(log.segments.length, 3)
    at(21_001 + 10_000 - jitterMs)
    assert.equal(log.segments.length, 4)
  })

  test('comes when an index is full, or an offset no longer fits it', async () => {
    const fixture = await new LogFixture({ indexIntervalBytes: 0, segmentIndexBytes: 24 }).open()
    const log = await fixture.log()
    for (let i = 0; i < 10; i++) log.append(batchOf(1), FROM_CLIENT)
    assert.deepEqual(
      log.segments.map(({ baseOffset }) => baseOffset),
      [0n, 4n, 8n],
    )
    log.append(batchOf(1, { baseOffset: 10n + 0x80000000n }), { origin: 'replica', leaderEpoch: 0 })
    assert.equal(log.segments.at(-1)?.baseOffset, 10n + 0x80000000n)
    await log.flush()
    assert.equal((await readAll(log)).length, 11)
  })
})

test('times are found to the record, across segments and out of order', async () => {
  const fixture = await new LogFixture({ segmentBytes: 4 * batchSize, messageTimestampAfterMaxMs: 1e15 }).open()
  const log = await fixture.log()
  for (const timestamp of [10n, 30n, 20n, 25n, 5n, 40n, 50n, 45n, 60n]) log.append(batchOf(2, { timestamp }), FROM_CLIENT)
  await log.flush()
  const find = async (timestamp: bigint, limit = log.endOffset) => (await log.offsetForTimestamp(timestamp, limit))?.offset
  assert.deepEqual(await Promise.all([0n, 10n, 11n, 30n, 31n, 41n, 55n, 61n].map((t) => find(t))), [
    0n,
    0n,
    2n,
    2n,
    10n,
    12n,
    16n,
    undefined,
  ])
  assert.equal(await find(41n, 12n), undefined)
  assert.deepEqual(await log.offsetOfMaxTimestamp(log.endOffset), { offset: 16n, timestamp: 60n, leaderEpoch: 0 })
  assert.deepEqual(await log.offsetOfMaxTimestamp(16n), { offset: 12n, timestamp: 50n, leaderEpoch: 0 })
  await log.advanceLogStartOffset(3n)
  assert.deepEqual(await Promise.all([0n, 30n].map((t) => find(t))), [3n, 3n])
})

test('on a real disk a log is written, closed, opened and read like any other', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'moldau-log-'))
  try {
    const open = () =>
      LogManager.open({
        disk: realDisk,
        clock: realClock,
        random: realRandom,
        directories: [directory],
        identity: { nodeId: 1, clusterId: 'real' },
        config: () => ({ ...defaultLogConfig, segmentBytes: 20_000 }),
        limits: { cacheBytes: 5000 },
        report: () => {},
      })
    let manager = await open()
    let log = await manager.create('t', TOPIC_ID, 0, { ...defaultLogConfig, segmentBytes: 20_000 })
    const timestamp = BigInt(realClock.wallMs())
    for (let i = 0; i < 500; i++) {
      log.append(batchOf(2, { timestamp, fill: i & 0xff }), FROM_CLIENT)
      if (i % 50 === 0) await log.flush()
    }
    await log.flush()
    const batches = await readAll(log)
    assert.equal(batches.length, 500)
    await log.truncateTo(901n)
    assert.equal(log.endOffset, 900n)
    await manager.close()
    manager = await open()
    log = manager.get('t', 0)!
    assert.equal(log.endOffset, 900n)
    assert.ok(Buffer.concat(await readAll(log)).equals(Buffer.concat(batches.slice(0, 450))))
    await log.applyRetention(realClock.wallMs() + 700_000_000, log.endOffset)
    assert.deepEqual([log.logStartOffset, log.endOffset], [900n, 900n])
    await manager.close()
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
})
