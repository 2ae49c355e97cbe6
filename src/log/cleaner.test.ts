// Compaction: what stays, what goes, and what a crash in the middle leaves.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CompressionCodec } from '../bytes/compression/codecs.ts'
import { seededRandom } from '../host/random.ts'
import { baseOffset, codecId, lastOffset, recordCount } from '../protocol/records/batch-header.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import { KeyOffsets } from './key-offsets.ts'
import type { LogConfig } from './log-config.ts'
import { batchWith, FROM_CLIENT, LogFixture, readAll, settled } from './log-fixture.ts'
import { defaultLogTuning } from './log-tuning.ts'
import type { PartitionLog } from './partition-log.ts'

const NOW = 1_750_000_000_000n

/** Without a cache, unless a test is about it: the files are what is looked at. */
async function compacted(
  config: Partial<LogConfig> = {},
  limits: LogFixture['limits'] = { cacheBytes: 0 },
): Promise<{ fixture: LogFixture; log: PartitionLog }> {
  const fixture = new LogFixture({ deletes: false, compacts: true, segmentBytes: 1000, indexIntervalBytes: 200, ...config })
  fixture.limits = limits
  await fixture.open()
  return { fixture, log: await fixture.log() }
}

/** One batch of records, `key=value` each; `key=` is a tombstone. */
function batch(text: string, options: Parameters<typeof batchWith>[1] & { timestamp?: bigint } = {}): Buffer {
  const records = text.split(' ').map((record, i) => {
    const [key, value] = record.split('=')
    const headers = [{ key: 'h', value: Buffer.from(value) }]
    const timestamp = (options.timestamp ?? NOW) + BigInt(i)
    return { timestamp, key: Buffer.from(key), value: value === '' ? null : Buffer.from(value), headers }
  })
  return batchWith(records, options)
}

/** `offset:key=value` of every record. */
async function contents(log: PartitionLog): Promise<string[]> {
  const batches = await readAll(log)
  return batches.flatMap((batch) => [...decodeRecords(batch)].map(({ offset, key, value }) => `${offset}:${key}=${value ?? ''}`))
}

describe('compaction', () => {
  test('takes what it removed out of memory too', async () => {
    const { fixture, log } = await compacted({}, { cacheBytes: 1_000_000 })
    log.append(batch('a=1 b=1'), FROM_CLIENT)
    await log.roll()
    log.append(batch('a=2'), FROM_CLIENT)
    await log.roll()
    log.append(batch('c=1'), FROM_CLIENT)
    await log.flush()
    await fixture.manager.compact()
    assert.deepEqual(await contents(log), ['1:b=1', '2:a=2', '3:c=1'])
  })

  test('leaves the last record of each key, at its offset, with its headers and its time', async () => {
    const { fixture, log } = await compacted()
    log.append(batch('a=1 b=1 c=1'), FROM_CLIENT)
    log.append(batch('a=2 d=1'), FROM_CLIENT)
    log.append(batch('b=2'), FROM_CLIENT)
    await log.roll()
    log.append(batch('a=3'), FROM_CLIENT)
    await log.flush()
    await fixture.manager.compact()
    // What is in the active segment is not looked at.
    assert.deepEqual(await contents(log), ['2:c=1', '3:a=2', '4:d=1', '5:b=2', '6:a=3'])
    const [first] = await readAll(log)
    assert.deepEqual([baseOffset(first), lastOffset(first), recordCount(first)], [0n, 2n, 1])
    const [record] = [...decodeRecords(first)]
    assert.deepEqual([record.timestamp, record.headers[0].value?.toString()], [NOW + 2n, '1'])
    assert.equal(log.endOffset, 7n)
    assert.equal(log.cleanedOffset, 6n)
  })

  test('keeps the codec, and what nobody can read', async () => {
    const { fixture, log } = await compacted({ compressionType: 'producer' })
    log.append(batch('a=1 b=1', { codecId: CompressionCodec.gzip }), FROM_CLIENT)
    log.append(batch('a=2'), FROM_CLIENT)
    await log.roll()
    await log.flush()
    await fixture.manager.compact()
    const [first] = await readAll(log)
    assert.equal(codecId(first), CompressionCodec.gzip)
    assert.deepEqual(await contents(log), ['1:b=1', '2:a=2'])
  })

  test('joins what has become small, and reads go on over the holes', async () => {
    const { fixture, log } = await compacted()
    for (let i = 0; i < 200; i++) log.append(batch(`key-${i % 7}=${'v'.repeat(40)}${i}`), FROM_CLIENT)
    await log.roll()
    await log.flush()
    const before = log.segments.length
    await fixture.manager.compact()
    assert.ok(before > 10)
    assert.ok(log.segments.length <= 3)
    const expected = [193, 194, 195, 196, 197, 198, 199].map((i) => `${i}:key-${i % 7}=${'v'.repeat(40)}${i}`)
    assert.deepEqual(await contents(log), expected)
    const read = await log.read(5n, { maxBytes: 1, limitOffset: 200n, atLeastOneBatch: true })
    assert.equal(baseOffset(read.chunks[0]), 193n)
    const again = await fixture.restart()
    assert.deepEqual(await contents(again), expected)
    assert.deepEqual(await contents(await fixture.crash()), expected)
    assert.equal((await fixture.log()).cleanedOffset, 200n)
  })

  test('drops tombstones delete.retention.ms after it first saw them, not before', async () => {
    const { fixture, log } = await compacted({ deleteRetentionMs: 1000, minCleanableDirtyRatio: 0 })
    const dirty = async (key: string) => {
      log.append(batch(`${key}=1`), FROM_CLIENT)
      await log.roll()
      await log.flush()
    }
    log.append(batch('a=1'), FROM_CLIENT)
    log.append(batch('a='), FROM_CLIENT)
    await dirty('x')
    await fixture.manager.compact()
    assert.deepEqual(await contents(log), ['1:a=', '2:x=1'])
    fixture.clock.advance(999)
    await dirty('y')
    await fixture.manager.compact()
    assert.deepEqual(await contents(log), ['1:a=', '2:x=1', '3:y=1'])
    fixture.clock.advance(1)
    await dirty('z')
    await fixture.manager.compact()
    assert.deepEqual(await contents(log), ['2:x=1', '3:y=1', '4:z=1'])
  })

  test('waits for the dirty ratio, and for min.compaction.lag.ms; max.compaction.lag.ms does not wait', async () => {
    const { fixture, log } = await compacted({ minCleanableDirtyRatio: 0.5, minCompactionLagMs: 1000 })
    for (let i = 0; i < 8; i++) log.append(batch(`k${i}=${'v'.repeat(100)}`), FROM_CLIENT)
    await log.roll()
    await log.flush()
    await fixture.manager.compact()
    assert.equal(log.cleanedOffset, 0n)
    fixture.clock.advance(1000)
    await fixture.manager.compact()
    assert.equal(log.cleanedOffset, 8n)
    log.append(batch('k1=2'), FROM_CLIENT)
    await log.roll()
    await log.flush()
    fixture.clock.advance(2000)
    await fixture.manager.compact()
    assert.equal(log.cleanedOffset, 8n)
    log.config = { ...log.config, maxCompactionLagMs: 1500 }
    await fixture.manager.compact()
    assert.equal(log.cleanedOffset, 9n)
  })

  test('touches nothing at or above the high watermark', async () => {
    const { fixture, log } = await compacted()
    log.append(batch('a=1'), FROM_CLIENT)
    log.append(batch('a=2'), FROM_CLIENT)
    await log.roll()
    await log.flush()
    log.observer = { highWatermark: 1n, onWritten() {}, onFlushed() {}, onDiscarded() {}, onFailure() {} }
    await fixture.manager.compact()
    assert.deepEqual(await contents(log), ['0:a=1', '1:a=2'])
  })

  test('leaves an empty batch that says where its producer stands, across a restart', async () => {
    const { fixture, log } = await compacted()
    const produced = (text: string, baseSequence: number) => batch(text, { producerId: 4n, producerEpoch: 0, baseSequence })
    log.append(produced('a=1', 0), FROM_CLIENT)
    log.append(produced('a=2', 1), FROM_CLIENT)
    log.append(batch('a=3'), FROM_CLIENT)
    await log.roll()
    await log.flush()
    await fixture.manager.compact()
    const [kept] = await readAll(log)
    assert.deepEqual([baseOffset(kept), recordCount(kept)], [1n, 0])
    fixture.disk = fixture.disk.kill()
    for (const name of await fixture.files('.snapshot')) await fixture.disk.remove(fixture.path(name))
    await fixture.open()
    const again = await fixture.log()
    assert.equal(again.append(produced('a=2', 1), FROM_CLIENT).duplicate, true)
    assert.equal(again.append(produced('a=4', 2), FROM_CLIENT).duplicate, false)
  })

  test('whose keys do not fit into memory goes on where it stopped', async () => {
    const { fixture, log } = await compacted({ minCleanableDirtyRatio: 0 })
    await fixture.manager.close()
    fixture.limits = { cacheBytes: 0 }
    fixture.tuning = { ...defaultLogTuning, cleaner: { ...defaultLogTuning.cleaner, mapBytes: 1, loadFactor: 0.75 } }
    await fixture.open()
    const small = await fixture.log()
    for (let round = 0; round < 2; round++) for (let i = 0; i < 1500; i++) small.append(batch(`key-${i}=${round}`), FROM_CLIENT)
    await small.roll()
    await small.flush()
    let rounds = 0
    for (let before = -1n; small.cleanedOffset !== before; rounds++) {
      before = small.cleanedOffset
      await fixture.manager.compact()
    }
    assert.ok(rounds > 3)
    assert.equal(small.cleanedOffset, 3000n)
    assert.deepEqual(
      await contents(small),
      Array.from({ length: 1500 }, (_, i) => `${1500 + i}:key-${i}=1`),
    )
    assert.equal(log.endOffset, 0n)
  })

  test('that meets a damaged batch changes nothing, and says so', async () => {
    const { fixture, log } = await compacted()
    log.append(batch('a=1'), FROM_CLIENT)
    log.append(batch('a=2'), FROM_CLIENT)
    await log.roll()
    await log.flush()
    await fixture.damage('00000000000000000000.log', (contents) => contents.fill(contents[70] ^ 1, 70, 71))
    log.segments[0].forgetFiles()
    await fixture.manager.compact()
    assert.deepEqual(
      fixture.events.map(({ event }) => event),
      ['compaction-failed'],
    )
    assert.deepEqual(await fixture.files('.cleaned'), [])
  })
})

test('a crash at any moment of a compaction leaves every key as it was, and the log whole', async () => {
  const expected = async (log: PartitionLog) => {
    const values = new Map<string, string>()
    for (const record of await contents(log)) {
      const [key, value] = record.slice(record.indexOf(':') + 1).split('=')
      values.set(key, value)
    }
    return values
  }
  let crashes = 0
  for (let moment = 0; ; moment++) {
    const { fixture, log } = await compacted({ fileDeleteDelayMs: 10 })
    const random = seededRandom(7)
    for (let i = 0; i < 24; i++) log.append(batch(`key-${random.u32() % 5}=${'v'.repeat(30)}${i}`), FROM_CLIENT)
    await log.roll()
    await log.flush()
    await fixture.manager.checkpoint()
    const before = await expected(log)
    let calls = 0
    const { disk } = fixture
    fixture.onDiskCall = () => {
      if (calls++ === moment) fixture.disk = disk.kill()
    }
    let done = false
    fixture.manager.compact().then(() => {
      done = true
    })
    while (!done && fixture.disk === disk) await settled()
    fixture.onDiskCall = () => {}
    if (done) {
      assert.ok(crashes > 20, `${crashes} moments`)
      break
    }
    crashes++
    await fixture.open()
    const again = await fixture.log()
    assert.deepEqual(await expected(again), before, `crash at call ${moment}`)
    assert.equal(again.endOffset, 24n)
    // An index that did not make it is made anew.
    assert.deepEqual(
      fixture.events.filter(({ event }) => event !== 'index-rebuilt'),
      [],
    )
    again.append(batch('key-0=last'), FROM_CLIENT)
    await again.roll()
    await again.flush()
    await fixture.manager.compact()
    assert.equal((await expected(again)).get('key-0'), 'last')
    assert.deepEqual(
      (await fixture.files()).filter((name) => /cleaned|swap/.test(name)),
      [],
    )
  }
})

test('the offsets of keys are found again, however many there are, up to the limit of memory', async () => {
  const offsets = new KeyOffsets(100n, 24 * 4096, 0.75, seededRandom(1))
  let count = 0
  for (let grown = true; grown; grown = await offsets.grow(async () => {})) {
    while (offsets.put(Buffer.from(`key-${count}`), 100n + BigInt(count))) count++
  }
  assert.equal(count, 3072)
  assert.equal(offsets.put(Buffer.from('key-5'), 99_999n), true)
  assert.equal(offsets.latest(Buffer.from('key-5')), 99_999n)
  for (let i = 6; i < count; i++) assert.equal(offsets.latest(Buffer.from(`key-${i}`)), 100n + BigInt(i))
  assert.equal(offsets.latest(Buffer.from('another')), undefined)
})

test('no more is read and written in a second than log.cleaner.io.max.bytes.per.second says', async () => {
  const fixture = new LogFixture({ compacts: true, segmentBytes: 2000 })
  fixture.limits = { cacheBytes: 0 }
  await fixture.open()
  const log = await fixture.log()
  for (let i = 0; i < 100; i++)
    log.append(batchWith([{ timestamp: 1n, key: Buffer.of(i % 10), value: Buffer.alloc(90) }]), FROM_CLIENT)
  await log.roll()
  await log.flush()
  const maxBytesPerSecond = log.sizeBytes
  fixture.tuning = { ...defaultLogTuning, cleaner: { ...defaultLogTuning.cleaner, maxBytesPerSecond } }
  let done = false
  void fixture.manager.compact().then(() => {
    done = true
  })
  let ms = 0
  for (await settled(); !done; await settled()) {
    fixture.clock.advance(1)
    ms++
  }
  // Read twice, and a tenth of it written.
  assert.ok(ms > 1900 && ms < 2300, `${ms} ms`)
})
