// Compaction of logs with transactions: what readers of committed records get stays what it was, and what was aborted goes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../host/random.ts'
import { baseOffset, isControl, recordCount } from '../protocol/records/batch-header.ts'
import { endTransactionMarker, type TransactionResult } from '../protocol/records/control-record.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import type { LogConfig } from './log-config.ts'
import { batchWith, FROM_CLIENT, LogFixture, readAll, readCommitted, settled } from './log-fixture.ts'
import type { PartitionLog } from './partition-log.ts'

const NOW = 1_750_000_000_000n
const FROM_COORDINATOR = { origin: 'coordinator', leaderEpoch: 0 } as const

async function compacted(config: Partial<LogConfig> = {}): Promise<{ fixture: LogFixture; log: PartitionLog }> {
  const fixture = new LogFixture({ deletes: false, compacts: true, segmentBytes: 1000, minCleanableDirtyRatio: 0, ...config })
  await fixture.open()
  return { fixture, log: await fixture.log() }
}

const sequences = new WeakMap<PartitionLog, Map<bigint, number>>()

/** One record, in the producer's transaction; producer 0 has none. */
function write(log: PartitionLog, producerId: bigint, text: string): void {
  const [key, value] = text.split('=')
  const record = { timestamp: NOW, key: Buffer.from(key), value: value === '' ? null : Buffer.from(value) }
  const known = sequences.get(log) ?? new Map<bigint, number>()
  sequences.set(log, known)
  const baseSequence = known.get(producerId) ?? 0
  known.set(producerId, baseSequence + 1)
  const options = producerId === 0n ? {} : { producerId, producerEpoch: 0, baseSequence, transactional: true }
  log.append(batchWith([record], options), FROM_CLIENT)
}

function end(log: PartitionLog, producerId: bigint, result: TransactionResult): void {
  const marker = endTransactionMarker({ result, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: NOW })
  log.append(marker, FROM_COORDINATOR)
}

async function clean(fixture: LogFixture, log: PartitionLog): Promise<void> {
  await log.roll()
  await log.flush()
  await fixture.manager.compact()
}

const texts = (batches: readonly Buffer[]) =>
  batches.flatMap((batch) => [...decodeRecords(batch)].map(({ offset, key, value }) => `${offset}:${key}=${value ?? ''}`))

const data = async (log: PartitionLog) => texts((await readAll(log)).filter((batch) => !isControl(batch)))
const committed = async (log: PartitionLog) => texts(await readCommitted(log, 200))
const markers = async (log: PartitionLog) =>
  (await readAll(log)).filter((batch) => isControl(batch)).map((batch) => baseOffset(batch))

test('aborted records go, and have outdated nothing', async () => {
  const { fixture, log } = await compacted()
  write(log, 0n, 'a=1')
  write(log, 1n, 'a=2')
  write(log, 1n, 'b=2')
  end(log, 1n, 'abort')
  write(log, 0n, 'c=3')
  await clean(fixture, log)
  assert.deepEqual(await data(log), ['0:a=1', '4:c=3'])
  assert.deepEqual(await committed(log), ['0:a=1', '4:c=3'])
})

test('committed records outdate others, and stay until they are outdated', async () => {
  const { fixture, log } = await compacted()
  write(log, 0n, 'a=1')
  write(log, 1n, 'a=2')
  end(log, 1n, 'commit')
  await clean(fixture, log)
  assert.deepEqual(await data(log), ['1:a=2'])
})

test('nothing at or behind the last stable offset is touched', async () => {
  const { fixture, log } = await compacted()
  write(log, 0n, 'a=1')
  write(log, 0n, 'a=2')
  await log.roll()
  write(log, 1n, 'a=3')
  write(log, 0n, 'b=4')
  write(log, 0n, 'b=5')
  await log.roll()
  write(log, 0n, 'b=6')
  await clean(fixture, log)
  assert.deepEqual(await data(log), ['1:a=2', '2:a=3', '3:b=4', '4:b=5', '5:b=6'])
  end(log, 1n, 'commit')
  await clean(fixture, log)
  assert.deepEqual(await data(log), ['2:a=3', '5:b=6'])
})

for (const result of ['commit', 'abort'] as const) {
  test(`a ${result} marker stays until its data is gone, and delete.retention.ms longer`, async () => {
    const { fixture, log } = await compacted({ deleteRetentionMs: 1000 })
    write(log, 1n, 'a=1')
    end(log, 1n, result)
    write(log, 1n, 'b=2')
    end(log, 1n, 'commit')
    write(log, 0n, 'a=3')
    let round = 0
    const cleanAgain = () => {
      write(log, 0n, `round=${round++}`)
      return clean(fixture, log)
    }
    await cleanAgain()
    assert.deepEqual(await markers(log), [1n, 3n], 'its data was there until now')
    const told = (await log.abortedTransactions(0n, log.endOffset)).length
    assert.equal(told, result === 'abort' ? 1 : 0)
    await cleanAgain()
    assert.deepEqual(await markers(log), [1n, 3n])
    assert.deepEqual(await log.abortedTransactions(0n, log.endOffset), [], 'there is nothing left to tell')
    fixture.clock.advance(999)
    await cleanAgain()
    assert.deepEqual(await markers(log), [1n, 3n])
    fixture.clock.advance(1)
    await cleanAgain()
    assert.deepEqual(await markers(log), [3n])
    assert.deepEqual((await committed(log)).slice(0, 2), ['2:b=2', '4:a=3'])
    const again = await fixture.crash()
    assert.deepEqual([await markers(again), (await committed(again)).slice(0, 2)], [[3n], ['2:b=2', '4:a=3']])
  })
}

test('the last batch of a producer stays as an empty one though it was aborted, and its marker with it', async () => {
  const { fixture, log } = await compacted({ deleteRetentionMs: 0 })
  write(log, 1n, 'a=1')
  end(log, 1n, 'abort')
  for (let i = 0; i < 3; i++) {
    write(log, 0n, `b=${i}`)
    await clean(fixture, log)
  }
  const [first] = await readAll(log)
  assert.deepEqual([baseOffset(first), recordCount(first)], [0n, 0])
  assert.deepEqual(await markers(log), [1n])
  assert.deepEqual(await committed(log), ['4:b=2'])
})

test('an index of aborted transactions is replaced with its segment, also by an empty one', async () => {
  const { fixture, log } = await compacted({ deleteRetentionMs: 0 })
  write(log, 1n, 'a=1')
  end(log, 1n, 'abort')
  write(log, 1n, 'a=2')
  end(log, 1n, 'commit')
  for (let i = 0; i < 3; i++) {
    write(log, 0n, `b=${i}`)
    await clean(fixture, log)
  }
  assert.deepEqual(await committed(log), ['2:a=2', '6:b=2'])
  assert.deepEqual(await committed(await fixture.crash()), ['2:a=2', '6:b=2'])
})

/** The value of each key that a reader of committed records ends with. */
async function values(log: PartitionLog): Promise<Map<string, string>> {
  const last = new Map<string, string>()
  for (const text of await committed(log)) {
    const [key, value] = text.slice(text.indexOf(':') + 1).split('=')
    last.set(key, value)
  }
  return last
}

test('compaction at random moments of random transactions, with crashes, never changes what is committed', async () => {
  for (let seed = 0; seed < 25; seed++) {
    const random = seededRandom(seed)
    const below = (limit: number) => random.u32() % limit
    const { fixture, log: first } = await compacted({ segmentBytes: 300 + below(2000), deleteRetentionMs: below(3) * 100 })
    let log = first
    const open = new Set<bigint>()
    for (let step = 0; step < 150; step++) {
      const producer = BigInt(below(4))
      switch (below(12)) {
        case 0:
          await log.roll()
          break
        case 1: {
          await log.flush()
          const before = await values(log)
          fixture.clock.advance(below(100))
          await fixture.manager.compact()
          assert.deepEqual(await values(log), before, `seed ${seed}, step ${step}`)
          break
        }
        case 2: {
          if (below(3) > 0) break
          await log.flush()
          const before = await values(log)
          const known = sequences.get(log)!
          if (below(2) === 0) fixture.manager.compact().catch(() => {})
          for (let i = below(60); i > 0; i--) await null
          log = await fixture.crash()
          sequences.set(log, known)
          assert.deepEqual(await values(log), before, `seed ${seed}, step ${step}: after a crash`)
          break
        }
        case 3:
        case 4:
          if (open.delete(producer)) end(log, producer, below(2) === 0 ? 'commit' : 'abort')
          break
        default:
          if (producer !== 0n) open.add(producer)
          write(log, producer, `${below(6)}=${step}`)
      }
    }
    await settled()
    await fixture.manager.close()
    assert.deepEqual(
      fixture.events.filter(({ event }) => event !== 'log-compacted'),
      [],
    )
  }
})
