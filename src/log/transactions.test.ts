// Transactions as a log sees them: what holds readers of committed records back, what ends it, and what they are told.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BatchOptions } from '../protocol/records/batch-builder.ts'
import { baseOffset, isControl } from '../protocol/records/batch-header.ts'
import { endTransactionMarker, type TransactionResult } from '../protocol/records/control-record.ts'
import { batchOf, batchWith, FROM_CLIENT, LogFixture, readAll, settled } from './log-fixture.ts'
import type { AppendResult, PartitionLog } from './partition-log.ts'
import type { Verification } from './verifications.ts'

const FROM_COORDINATOR = { origin: 'coordinator', leaderEpoch: 0 } as const

/** Writes of one producer, in its own order. */
class Producer {
  private readonly id: bigint
  epoch = 0
  sequence = 0

  constructor(id: bigint) {
    this.id = id
  }

  batch(records = 1, options: BatchOptions = {}): Buffer {
    return batchOf(records, {
      producerId: this.id,
      producerEpoch: this.epoch,
      baseSequence: this.sequence,
      transactional: true,
      ...options,
    })
  }

  write(log: PartitionLog, records = 1): bigint {
    const { firstOffset } = log.append(this.batch(records), FROM_CLIENT)
    this.sequence += records
    return firstOffset
  }

  marker(result: TransactionResult, producerEpoch = this.epoch, coordinatorEpoch = 0): Buffer {
    return endTransactionMarker({ result, producerId: this.id, producerEpoch, coordinatorEpoch, timestamp: 1n })
  }

  end(log: PartitionLog, result: TransactionResult): bigint {
    return log.append(this.marker(result), FROM_COORDINATOR).lastOffset
  }

  /** By the rules of transaction version 2: the next transaction has the next epoch, and so has the marker. */
  endAndBump(log: PartitionLog, result: TransactionResult): AppendResult {
    this.epoch++
    this.sequence = 0
    return log.append(this.marker(result), { ...FROM_COORDINATOR, transactionVersion: 2 })
  }
}

const refusedAs = (code: string) => (error: Error & { code?: string }) => error.code === code

async function logWith(config: ConstructorParameters<typeof LogFixture>[0] = {}) {
  const fixture = await new LogFixture(config).open()
  return { fixture, log: await fixture.log() }
}

/** As seen by readers for whom everything written is committed. */
const stable = (log: PartitionLog) => log.lastStableOffset(log.endOffset)

async function aborted(log: PartitionLog, from = 0n, upTo = log.endOffset): Promise<[bigint, bigint][]> {
  const transactions = await log.abortedTransactions(from, upTo)
  return transactions.map(({ producerId, firstOffset }) => [producerId, firstOffset])
}

describe('the last stable offset', () => {
  test('is the first offset of the earliest open transaction, and goes on when its marker is there', async () => {
    const { log } = await logWith()
    const [a, b] = [new Producer(1n), new Producer(2n)]
    log.append(batchOf(2), FROM_CLIENT)
    assert.equal(stable(log), 2n)
    assert.equal(a.write(log, 2), 2n)
    b.write(log)
    log.append(batchOf(1), FROM_CLIENT)
    a.write(log)
    assert.equal(stable(log), 2n)
    a.end(log, 'commit')
    assert.equal(stable(log), 4n, 'where the other one began')
    b.end(log, 'abort')
    assert.equal(stable(log), log.endOffset)
  })

  test('waits for the marker to be committed itself', async () => {
    const { log } = await logWith()
    const [a, b] = [new Producer(1n), new Producer(2n)]
    a.write(log, 3)
    b.write(log)
    const first = b.end(log, 'commit')
    const second = a.end(log, 'commit')
    assert.equal(log.lastStableOffset(2n), 0n)
    assert.equal(log.lastStableOffset(first), 0n)
    assert.equal(log.lastStableOffset(first + 1n), 0n, 'the earlier one is still open there')
    assert.equal(log.lastStableOffset(second), 0n)
    assert.equal(log.lastStableOffset(second + 1n), second + 1n)
  })

  test('waits for a marker that is not committed also after a cut behind it', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log, 2)
    producer.end(log, 'commit')
    await log.roll()
    log.append(batchOf(2), FROM_CLIENT)
    await log.truncateTo(4n)
    assert.equal(log.endOffset, 3n)
    assert.deepEqual([log.lastStableOffset(2n), log.lastStableOffset(3n)], [0n, 3n])
  })

  for (const how of ['restart', 'crash'] as const) {
    test(`waits for a marker that is not known to be committed also after a ${how}`, async () => {
      const { fixture, log } = await logWith()
      const [a, b] = [new Producer(1n), new Producer(2n)]
      a.write(log, 2)
      a.end(log, 'commit')
      const first = b.write(log, 2)
      await log.roll()
      const marker = b.end(log, 'abort')
      log.append(batchOf(2), FROM_CLIENT)
      await log.flush()

      const later = await fixture[how]()
      await fixture.manager.recallEndedTransactions(later, marker)
      assert.equal(later.lastStableOffset(marker), first)
      assert.equal(later.lastStableOffset(marker + 1n), marker + 1n)
      assert.equal(stable(later), later.endOffset)
    })
  }

  test('is never below the start of the log', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log, 2)
    log.append(batchOf(5), FROM_CLIENT)
    await log.flush()
    await log.advanceLogStartOffset(4n)
    assert.equal(stable(log), 4n)
    producer.end(log, 'abort')
    assert.equal(stable(log), log.endOffset)
  })

  test('is not moved by a marker with nothing to end', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.end(log, 'abort')
    assert.equal(stable(log), 1n)
    assert.deepEqual(await aborted(log), [])
  })
})

describe('a marker', () => {
  test('of a coordinator that was replaced is refused', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    log.append(producer.marker('commit', 0, 7), FROM_COORDINATOR)
    producer.write(log)
    assert.throws(() => log.append(producer.marker('abort', 0, 6), FROM_COORDINATOR), refusedAs('TRANSACTION_COORDINATOR_FENCED'))
    assert.equal(stable(log), 2n)
    log.append(producer.marker('abort', 0, 8), FROM_COORDINATOR)
    assert.equal(log.activeProducers()[0].coordinatorEpoch, 8)
  })

  test('of an earlier epoch is refused; of a later one it ends the transaction, and fences who began it', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.epoch = 4
    producer.write(log)
    assert.throws(() => log.append(producer.marker('abort', 3), FROM_COORDINATOR), refusedAs('INVALID_PRODUCER_EPOCH'))
    log.append(producer.marker('abort', 5), FROM_COORDINATOR)
    assert.equal(stable(log), log.endOffset)
    assert.throws(() => producer.write(log), refusedAs('INVALID_PRODUCER_EPOCH'))
  })

  test('by version 2 needs a later epoch than what it ends', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    const version2 = { ...FROM_COORDINATOR, transactionVersion: 2 }
    assert.throws(() => log.append(producer.marker('commit'), version2), refusedAs('INVALID_PRODUCER_EPOCH'))
    producer.endAndBump(log, 'commit')
    assert.equal(stable(log), 2n)
    // The next transaction is under way when the marker of the last one comes again.
    producer.write(log)
    assert.throws(() => log.append(producer.marker('commit'), version2), refusedAs('INVALID_PRODUCER_EPOCH'))
    assert.equal(stable(log), 2n)
  })

  test('by version 2 that is there already counts as written, and nothing is appended', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    const { lastOffset } = producer.endAndBump(log, 'abort')
    log.append(batchOf(1), FROM_CLIENT)
    const again = log.append(producer.marker('abort'), { ...FROM_COORDINATOR, transactionVersion: 2 })
    assert.equal(again.duplicate, true)
    assert.ok(again.lastOffset >= lastOffset, 'who waits for it waits long enough')
    assert.equal(log.endOffset, 3n)
  })
})

describe('a producer in a transaction', () => {
  test('cannot write outside of it to the same partition', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    const outside = () => log.append(producer.batch(1, { transactional: false }), FROM_CLIENT)
    assert.throws(outside, refusedAs('INVALID_TXN_STATE'))
    producer.end(log, 'commit')
    outside()
    assert.equal(stable(log), log.endOffset)
  })

  test('goes on with its sequence numbers behind a marker of its epoch, and at 0 behind one of the next', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log, 3)
    producer.end(log, 'commit')
    producer.write(log, 2)
    producer.endAndBump(log, 'commit')
    assert.throws(
      () => log.append(producer.batch(1, { baseSequence: 5 }), FROM_CLIENT),
      refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'),
    )
    producer.write(log)
  })

  test('that is not known begins anywhere, by version 2 at sequence number 0', async () => {
    const { log } = await logWith()
    const version2 = { ...FROM_CLIENT, transactionVersion: 2 }
    const producer = new Producer(1n)
    assert.throws(() => log.append(producer.batch(1, { baseSequence: 5 }), version2), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    log.append(producer.batch(1, { baseSequence: 5 }), FROM_CLIENT)
    log.append(new Producer(2n).batch(), version2)
    log.append(new Producer(3n).batch(1, { baseSequence: 5, transactional: false }), version2)
  })

  test('is described with the offset at which it began', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    log.append(batchOf(1), FROM_CLIENT)
    log.append(producer.batch(2, {}), FROM_CLIENT)
    const [described] = log.activeProducers()
    assert.deepEqual(described, {
      producerId: 1n,
      producerEpoch: 0,
      lastSequence: 1,
      lastTimestamp: 1_750_000_000_000n,
      coordinatorEpoch: -1,
      currentTxnStartOffset: 1n,
    })
  })

  test('is not forgotten, however long it is silent', async () => {
    const { fixture, log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    fixture.clock.advance(10 * 86_400_000)
    fixture.manager.expireProducers()
    assert.equal(stable(log), 0n)
    producer.end(log, 'abort')
    fixture.clock.advance(86_400_000)
    fixture.manager.expireProducers()
    assert.deepEqual(log.activeProducers(), [])
  })
})

describe('aborted transactions', () => {
  /** Offsets 0 and 1 by a, 2 by b, 3: a aborted, 4 by b, 5: b committed, 6 by b, 7: b aborted. */
  async function interleaved(config: ConstructorParameters<typeof LogFixture>[0] = {}) {
    const { fixture, log } = await logWith(config)
    const [a, b] = [new Producer(1n), new Producer(2n)]
    a.write(log, 2)
    b.write(log)
    a.end(log, 'abort')
    b.write(log)
    b.end(log, 'commit')
    b.write(log)
    b.end(log, 'abort')
    return { fixture, log }
  }

  test('are listed where they overlap with what is read, others are not', async () => {
    const { log } = await interleaved()
    assert.deepEqual(await aborted(log), [
      [1n, 0n],
      [2n, 6n],
    ])
    assert.deepEqual(await aborted(log, 1n, 2n), [[1n, 0n]])
    assert.deepEqual(await aborted(log, 3n, 6n), [[1n, 0n]])
    assert.deepEqual(await aborted(log, 4n, 6n), [])
    assert.deepEqual(await aborted(log, 4n, 7n), [[2n, 6n]])
    assert.deepEqual(await aborted(log, 8n, 8n), [])
  })

  test('are found from any segment that the transaction spans', async () => {
    const { log } = await logWith({ segmentBytes: 400 })
    const [a, b] = [new Producer(1n), new Producer(2n)]
    a.write(log)
    for (let i = 0; i < 20; i++) log.append(batchOf(1), FROM_CLIENT)
    b.write(log)
    b.end(log, 'abort')
    for (let i = 0; i < 20; i++) log.append(batchOf(1), FROM_CLIENT)
    const end = a.end(log, 'abort')
    for (let i = 0; i < 20; i++) log.append(batchOf(1), FROM_CLIENT)
    await log.flush()
    assert.ok(log.segments.length > 10)
    for (const from of [0n, 5n, 21n])
      assert.deepEqual(
        await aborted(log, from, from + 1n),
        from < 21n
          ? [[1n, 0n]]
          : [
              [2n, 21n],
              [1n, 0n],
            ],
      )
    assert.deepEqual(await aborted(log, end, end + 1n), [[1n, 0n]])
    assert.deepEqual(await aborted(log, end + 1n), [])
  })

  test('lie in a file of Kafka’s format beside those segments only that have them', async () => {
    const { fixture, log } = await interleaved()
    await log.roll()
    log.append(batchOf(1), FROM_CLIENT)
    await log.roll()
    await log.flush()
    assert.deepEqual(await fixture.files('.txnindex'), ['00000000000000000000.txnindex'])
    const file = await fixture.disk.readFile(fixture.path('00000000000000000000.txnindex'))
    assert.equal(file.length, 2 * 34)
    const entries = [0, 34].map((at) => [
      file.readInt16BE(at),
      ...[2, 10, 18, 26].map((field) => file.readBigInt64BE(at + field)),
    ])
    assert.deepEqual(entries, [
      [0, 1n, 0n, 3n, 2n],
      [0, 2n, 6n, 7n, 8n],
    ])
  })

  for (const [how, again] of [
    ['a restart', (fixture: LogFixture) => fixture.restart()],
    ['kill -9', (fixture: LogFixture) => fixture.crash()],
  ] as const) {
    test(`and open ones are known after ${how}, in one segment or many`, async () => {
      for (const segmentBytes of [300, 100_000]) {
        const { fixture, log } = await interleaved({ segmentBytes })
        const open = new Producer(3n)
        const began = open.write(log)
        for (let i = 0; i < 5; i++) log.append(batchOf(1), FROM_CLIENT)
        await settled()
        const described = log.activeProducers()
        for (let i = 0; i < 2; i++) {
          const reopened = await again(fixture)
          assert.equal(stable(reopened), began)
          assert.deepEqual(await aborted(reopened), [
            [1n, 0n],
            [2n, 6n],
          ])
          const byId = (all: typeof described) =>
            all.map(({ producerId, currentTxnStartOffset }) => [producerId, currentTxnStartOffset])
          assert.deepEqual(byId(reopened.activeProducers()), byId(described))
        }
        const reopened = await fixture.log()
        open.end(reopened, 'abort')
        assert.deepEqual((await aborted(reopened)).at(-1), [3n, began])
        assert.equal(stable(reopened), reopened.endOffset)
      }
    })
  }

  test('whose file is damaged are found in the log again', async () => {
    const { fixture, log } = await interleaved()
    const before = await aborted(log)
    await log.roll()
    log.append(batchOf(1), FROM_CLIENT)
    await log.flush()
    await fixture.manager.checkpoint()
    fixture.disk = fixture.disk.kill()
    await fixture.damage('00000000000000000000.txnindex', (contents) => contents.subarray(0, 40))
    await fixture.open()
    assert.deepEqual(await aborted(await fixture.log()), before)
    assert.equal((await fixture.disk.readFile(fixture.path('00000000000000000000.txnindex'))).length, 68)
  })

  test('whose file is damaged under a running broker are not concealed', async () => {
    const { fixture, log } = await interleaved()
    await log.roll()
    await log.flush()
    const file = await fixture.disk.open(fixture.path('00000000000000000000.txnindex'), 'write')
    await file.truncate(40)
    await assert.rejects(aborted(log), refusedAs('KAFKA_STORAGE_ERROR'))
    assert.deepEqual(await aborted(log, 8n), [])
  })

  test('are open again where their markers are cut off, and gone where they are', async () => {
    const { fixture, log } = await interleaved()
    await log.flush()
    await log.truncateTo(7n)
    assert.deepEqual(await aborted(log), [[1n, 0n]])
    assert.equal(stable(log), 6n)
    await log.truncateTo(3n)
    assert.deepEqual(await aborted(log), [])
    assert.equal(stable(log), 0n)
    const reopened = await fixture.crash()
    assert.deepEqual([await aborted(reopened), stable(reopened)], [[], 0n])
  })

  test('are forgotten with the segment of their marker', async () => {
    const { fixture, log } = await interleaved({ retentionMs: 1000, fileDeleteDelayMs: 0 })
    await log.roll()
    fixture.clock.advance(1001)
    log.append(batchOf(1, { timestamp: BigInt(fixture.clock.wallMs()) }), FROM_CLIENT)
    await log.flush()
    await log.applyRetention(fixture.clock.wallMs(), 8n)
    assert.equal(log.logStartOffset, 8n)
    assert.deepEqual(await aborted(log, 8n), [])
    fixture.clock.advance(1)
    await settled()
    assert.deepEqual(await fixture.files('.txnindex'), [])
  })

  test('by the thousand are kept in the file, found there, and found by a recovery', async () => {
    const { fixture, log } = await logWith({ flushPolicy: 'os' })
    const producer = new Producer(1n)
    for (let i = 0; i < 3000; i++) {
      producer.write(log)
      producer.end(log, 'abort')
      if (i % 500 === 0) await settled()
    }
    await settled()
    assert.equal((await aborted(log)).length, 3000)
    assert.deepEqual(await aborted(log, 4001n, 4003n), [
      [1n, 4000n],
      [1n, 4002n],
    ])
    const all = await aborted(log)
    await log.flush()
    await fixture.manager.checkpoint()
    assert.deepEqual(await aborted(await fixture.crash()), all)
  })
})

test('a recovery that reads only headers reads the whole of a marker, wherever its reads end', async () => {
  for (let visible = 61; visible < 78; visible += 4) {
    const { fixture, log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    // The marker begins so far in front of where the first read of headers ends.
    const wanted = 64 * 1024 - visible - log.segments[0].size
    let padding = batchWith([{ timestamp: 1n, value: Buffer.alloc(wanted) }])
    padding = batchWith([{ timestamp: 1n, value: Buffer.alloc(2 * wanted - padding.length) }])
    assert.equal(padding.length, wanted)
    log.append(padding, FROM_CLIENT)
    producer.end(log, 'abort')
    log.append(batchOf(1), FROM_CLIENT)
    await log.flush()
    await fixture.manager.checkpoint()
    const reopened = await fixture.crash()
    assert.deepEqual([await aborted(reopened), stable(reopened)], [[[1n, 0n]], 4n])
  }
})

test('a replica knows the transactions of its leader', async () => {
  const { log: leader } = await logWith()
  const [a, b] = [new Producer(1n), new Producer(2n)]
  a.write(leader, 2)
  b.write(leader)
  a.endAndBump(leader, 'abort')
  const { log: replica } = await logWith()
  for (const batch of await readAll(leader)) replica.append(batch, { origin: 'replica', leaderEpoch: 0 })
  assert.equal(stable(replica), 2n)
  assert.deepEqual(await aborted(replica), [[1n, 0n]])
  assert.deepEqual(replica.activeProducers(), leader.activeProducers())
  assert.deepEqual(
    (await readAll(replica)).filter((batch) => isControl(batch)).map((batch) => baseOffset(batch)),
    [3n],
  )
})

describe('a write that the coordinator has been asked about', () => {
  const verified = (verification: Verification | null) => ({ ...FROM_CLIENT, verification })

  test('needs no question where the transaction is open in its epoch, and is refused where that has ended', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    producer.write(log)
    assert.equal(log.verifications.begin(1n, 0, 1), null)
    assert.notEqual(log.verifications.begin(1n, 1, 0), null)
    log.append(producer.batch(), verified(null))
    producer.sequence++
    producer.end(log, 'commit')
    assert.throws(() => log.append(producer.batch(), verified(null)), refusedAs('INVALID_TXN_STATE'))
  })

  test('begins the transaction, and those that asked with it go on', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    const first = log.verifications.begin(1n, 0, 0)
    const second = log.verifications.begin(1n, 0, 1)
    log.append(producer.batch(), verified(first))
    producer.sequence++
    log.append(producer.batch(), verified(second))
    assert.equal(stable(log), 0n)
  })

  test('is refused if the transaction has ended meanwhile, though another one has been asked about since', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    const overtaken = log.verifications.begin(1n, 0, 0)
    producer.end(log, 'abort')
    assert.throws(() => log.append(producer.batch(), verified(overtaken)), refusedAs('INVALID_TXN_STATE'))
    const next = log.verifications.begin(1n, 0, 0)
    assert.throws(() => log.append(producer.batch(), verified(overtaken)), refusedAs('INVALID_TXN_STATE'))
    log.append(producer.batch(), verified(next))
  })

  test('is refused for its epoch first, and answered anew if it is there already', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    const { firstOffset } = log.append(producer.batch(), verified(log.verifications.begin(1n, 0, 0)))
    const again = producer.batch()
    assert.equal(log.append(producer.batch(), verified(null)).firstOffset, firstOffset)
    producer.endAndBump(log, 'commit')
    assert.throws(() => log.append(again, verified(null)), refusedAs('INVALID_PRODUCER_EPOCH'))
  })

  test('does not begin behind one that is to be sent again', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    const first = log.verifications.begin(1n, 0, 7)
    const second = log.verifications.begin(1n, 0, 8)
    const ahead = producer.batch(1, { baseSequence: 8 })
    assert.throws(() => log.append(ahead, verified(second)), refusedAs('OUT_OF_ORDER_SEQUENCE_NUMBER'))
    log.append(producer.batch(1, { baseSequence: 7 }), verified(first))
    log.append(producer.batch(1, { baseSequence: 8 }), verified(second))
  })

  test('in a new epoch is not held back by what an earlier epoch has still to send', async () => {
    const { log } = await logWith()
    const producer = new Producer(1n)
    log.verifications.begin(1n, 0, 5)
    producer.epoch = 1
    log.append(producer.batch(1, { baseSequence: 9 }), verified(log.verifications.begin(1n, 1, 9)))
  })

  test('is not waited for any longer than producers are remembered', async () => {
    const { fixture, log } = await logWith()
    const producer = new Producer(1n)
    const forgotten = log.verifications.begin(1n, 0, 0)
    fixture.clock.advance(86_400_000)
    fixture.manager.expireProducers()
    assert.throws(() => log.append(producer.batch(), verified(forgotten)), refusedAs('INVALID_TXN_STATE'))
  })

  test('is let in unasked where nobody asks, and so is what is not of a transaction', async () => {
    const { log } = await logWith()
    log.append(new Producer(1n).batch(), FROM_CLIENT)
    log.append(new Producer(2n).batch(1, { transactional: false }), verified(null))
  })
})
