// *Strategy*: random histories of one log (appends by producers with and without ids, in transactions and not, markers, rolls,
// flushes, deletions, truncations, restarts in order and by `kill -9`) run against the real thing and against a list. Each history
// comes from a seed.
// *Invariants*: the log holds what the list holds, byte for byte, at the same offsets, whichever way it is read; producers are
// judged alike; transactions are open, committed or aborted as the list says, and readers of committed records get just those; what
// was written survives `kill -9`; nothing is ever reported as damage.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '../host/random.ts'
import { type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import { baseOffset, isControl, isTransactional, stampOffsetAndEpoch } from '../protocol/records/batch-header.ts'
import { endTransactionMarker, readControlRecord } from '../protocol/records/control-record.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import type { FlushPolicy } from './log-config.ts'
import { batchOf, LogFixture, readAll, readCommitted, settled } from './log-fixture.ts'
import type { LogObserver, PartitionLog } from './partition-log.ts'

/** More on command: MOLDAU_SEEDS=20000; one seed: MOLDAU_SEED=17. */
const HISTORIES = Number(process.env['MOLDAU_SEEDS'] ?? 120)
const ONLY = process.env['MOLDAU_SEED']
const STEPS = 60

interface Modelled {
  readonly bytes: Buffer
  readonly base: bigint
  readonly last: bigint
}

interface ModelledProducer {
  epoch: number
  batches: { first: number; last: number; base: bigint; lastOffset: bigint }[]
  coordinatorEpoch: number
  /** Of the open transaction. */
  began: bigint | undefined
}

interface ModelledTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
  /** Of the marker; undefined while it is open. */
  readonly lastOffset: bigint | undefined
  readonly aborted: boolean
}

class History implements LogObserver {
  private readonly random: Random
  private readonly fixture: LogFixture
  private log!: PartitionLog
  /** Everything that was ever appended and not cut off, deleted or not. */
  private batches: Modelled[] = []
  private start = 0n
  private epoch = 0
  private tears = 0
  private epochStarts: { epoch: number; start: bigint }[] = []

  constructor(seed: number) {
    this.random = seededRandom(seed)
    const policies: FlushPolicy[] = ['group', 'os', 'interval']
    this.fixture = new LogFixture({
      flushPolicy: policies[this.below(3)],
      segmentBytes: 2000 + this.below(6000),
      indexIntervalBytes: this.below(1500),
      segmentIndexBytes: this.below(4) === 0 ? 64 : 10_000,
      fileDeleteDelayMs: this.below(2) * 100,
    })
    this.fixture.limits = { cacheBytes: this.below(3) * 3000, openFiles: 2 + this.below(6) }
  }

  private below(limit: number): number {
    return this.random.u32() % limit
  }

  private get end(): bigint {
    return this.batches.at(-1) === undefined ? 0n : this.batches.at(-1)!.last + 1n
  }

  async run(): Promise<void> {
    await this.fixture.open()
    this.log = await this.fixture.log()
    this.log.observer = this
    for (let i = 0; i < STEPS; i++) {
      await this.step()
      assert.equal(this.log.endOffset, this.end)
      assert.equal(this.log.logStartOffset, this.start)
    }
    await this.compare()
    const expected = ['segments-deleted', 'directory-full', 'directory-has-room', 'log-cut']
    const unexpected = this.fixture.events.filter(({ event }) => !expected.includes(event))
    assert.deepEqual(unexpected, [])
    assert.equal(this.fixture.events.filter(({ event }) => event === 'log-cut').length >= this.tears, true)
    await this.fixture.manager.close()
  }

  private async step(): Promise<void> {
    switch (this.below(20)) {
      case 0:
        return this.log.roll()
      case 1:
        return this.log.flush()
      case 2:
        return this.deleteRecords()
      case 3:
        return this.retain()
      case 4:
        return this.truncate()
      case 5:
        return this.restart()
      case 6:
        return this.crash()
      case 7:
        this.fixture.clock.advance(this.below(300))
        return
      case 8:
        return this.lookUpTimes()
      case 9:
        return this.compare()
      case 10:
        this.epoch += this.below(3)
        return
      case 11:
      case 12:
        return this.readSomewhere()
      case 13:
        return this.below(2) === 0 ? this.fillDisk() : this.fixture.manager.checkpoint()
      case 14:
        for (let i = this.below(30); i > 0; i--) await null
        return
      default:
        for (let i = this.below(4); i >= 0; i--) {
          if (this.below(4) === 0) this.endTransaction()
          else this.append()
        }
    }
  }

  // ── what is done ──────────────────────────────────────────────────────────────────────────────────────────────────

  private append(): void {
    const count = 1 + this.below(this.below(8) === 0 ? 12 : 3)
    const timestamp = BigInt(this.fixture.clock.wallMs() - 2000 + this.below(4000))
    const fill = this.below(256)
    if (this.below(2) === 0) {
      const batch = batchOf(count, { timestamp, fill })
      const { firstOffset } = this.log.append(batch, { origin: 'client', leaderEpoch: this.epoch })
      this.appended(batch, firstOffset, count)
      return
    }
    const producerId = BigInt(this.below(3))
    const known = this.producers().get(producerId)
    const last = known?.batches.at(-1)
    // Mostly what comes next; sometimes an old batch again, a gap, or another epoch.
    const again = known?.batches[this.below(known.batches.length || 1)]
    const sort = this.below(8)
    const producerEpoch = (known?.epoch ?? 0) + (sort === 0 ? 1 : sort === 1 ? -1 : 0)
    const baseSequence =
      sort === 0 ? this.below(2) : sort < 4 && again !== undefined ? again.first : (last?.last ?? 4) + (sort === 4 ? 3 : 1)
    const size = sort > 1 && sort < 4 && again !== undefined ? again.last - again.first + 1 : count
    if (producerEpoch < 0) return
    // Mostly as it goes on; a transaction that is open allows nothing else.
    const transactional = this.below(10) === 0 ? this.below(2) === 0 : known?.began !== undefined || this.below(3) === 0
    const batch = batchOf(size, { timestamp, fill, producerId, producerEpoch, baseSequence, transactional })
    const expected = judge(known, producerEpoch, baseSequence, baseSequence + size - 1, transactional)
    try {
      const result = this.log.append(batch, { origin: 'client', leaderEpoch: this.epoch })
      if (expected !== undefined && typeof expected !== 'string') {
        assert.deepEqual([result.duplicate, result.firstOffset, result.lastOffset], [true, expected.base, expected.lastOffset])
        return
      }
      assert.equal(expected, undefined)
      assert.equal(result.duplicate, false)
      this.appended(batch, result.firstOffset, size)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      assert.equal(error.code, expected)
    }
  }

  /** Ends a transaction, or not: the marker may be late, by its epoch or its coordinator's, or come twice. */
  private endTransaction(): void {
    const producerId = BigInt(this.below(3))
    const known = this.producers().get(producerId)
    const transactionVersion = this.below(2) * 2
    const producerEpoch = (known?.epoch ?? 0) + (this.below(8) === 0 ? -1 : transactionVersion > 0 && this.below(6) > 0 ? 1 : 0)
    const coordinatorEpoch = Math.max(0, (known?.coordinatorEpoch ?? 0) + (this.below(6) === 0 ? -1 : this.below(2)))
    if (producerEpoch < 0) return
    const result = this.below(2) === 0 ? 'commit' : 'abort'
    const timestamp = BigInt(this.fixture.clock.wallMs())
    const marker = endTransactionMarker({ result, producerId, producerEpoch, coordinatorEpoch, timestamp })
    const expected = judgeMarker(known, producerEpoch, coordinatorEpoch, transactionVersion)
    try {
      const options = { origin: 'coordinator', leaderEpoch: this.epoch, transactionVersion } as const
      const { duplicate, firstOffset } = this.log.append(marker, options)
      assert.equal(duplicate ? 'done' : undefined, expected)
      if (!duplicate) this.appended(marker, firstOffset, 1)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      assert.equal(error.code, expected)
    }
  }

  private appended(batch: Buffer, firstOffset: bigint, count: number): void {
    assert.equal(firstOffset, this.end)
    if ((this.epochStarts.at(-1)?.epoch ?? -1) < this.epoch) this.epochStarts.push({ epoch: this.epoch, start: firstOffset })
    const bytes = Buffer.from(batch)
    stampOffsetAndEpoch(bytes, 0, firstOffset, this.epoch)
    this.batches.push({ bytes, base: firstOffset, last: firstOffset + BigInt(count) - 1n })
  }

  private async deleteRecords(): Promise<void> {
    const span = Number(this.log.writtenOffset - this.start)
    if (span <= 0) return
    this.start += BigInt(this.below(span + 1))
    await this.log.advanceLogStartOffset(this.start)
  }

  private async retain(): Promise<void> {
    const before = this.log.segments.map(({ baseOffset }) => baseOffset)
    this.log.config = {
      ...this.log.config,
      retentionBytes: this.below(3) === 0 ? -1 : this.below(20_000),
      retentionMs: this.below(2) === 0 ? -1 : this.below(5000),
    }
    const limit = this.log.writtenOffset
    await this.log.applyRetention(this.fixture.clock.wallMs(), limit)
    const first = this.log.segments[0]?.baseOffset ?? 0n
    assert.ok(first <= limit, 'nothing above the limit is deleted')
    if (first > this.start) {
      assert.ok(before.includes(first) || first === this.end, 'whole segments')
      this.start = first
    }
  }

  private async truncate(): Promise<void> {
    if (this.below(3) > 0) return
    const span = Number(this.end - this.start)
    const to = this.start + BigInt(this.below(span + 1))
    await this.log.truncateTo(to)
    const kept = this.batches.filter(({ last }) => last < to)
    // The cut comes in front of the batch that holds the offset.
    if (kept.length < this.batches.length) this.cutTo(kept)
  }

  private cutTo(kept: Modelled[]): void {
    this.batches = kept
    this.epochStarts = this.epochStarts.filter(({ start }) => start < this.end)
    if (this.start > this.end) this.start = this.end
    this.epoch = Math.max(this.epoch, (this.epochStarts.at(-1)?.epoch ?? -1) + 1)
  }

  private async restart(): Promise<void> {
    this.log = await this.fixture.restart()
    await this.compare()
    this.log.observer = this
  }

  private async crash(): Promise<void> {
    const written = this.log.writtenOffset
    const torn = this.below(3) === 0 ? await this.tear() : undefined
    this.log = torn === undefined ? await this.fixture.crash() : await this.fixture.open().then(() => this.fixture.log())
    if (torn === undefined) assert.ok(this.log.endOffset >= written, 'what was written is there')
    else assert.equal(this.log.endOffset, torn, 'what stands in front of the torn batch is there')
    this.cutTo(this.batches.filter(({ last }) => last < this.log.endOffset))
    await this.compare()
    this.log.observer = this
  }

  /** A crash that leaves less: some batch at or behind the recovery point torn, and what follows it missing or nonsense. */
  private async tear(): Promise<bigint | undefined> {
    const recoveryPoint = this.log.logDirectory.recoveryPoints.get('t-0') ?? 0n
    this.fixture.disk = this.fixture.disk.kill()
    const file = (await this.fixture.files('.log')).at(-1)
    if (file === undefined) return undefined
    const base = BigInt(file.slice(0, 20))
    const size = await this.fixture.disk.fileSize(this.fixture.path(file))
    const candidates: { base: bigint; position: number; bytes: number }[] = []
    let position = 0
    for (const batch of this.batches.filter((batch) => batch.base >= base)) {
      if (batch.base >= recoveryPoint && position + batch.bytes.length <= size) {
        candidates.push({ base: batch.base, position, bytes: batch.bytes.length })
      }
      position += batch.bytes.length
    }
    if (candidates.length === 0) return undefined
    const batch = candidates[this.below(candidates.length)]
    const at = batch.position + 1 + this.below(batch.bytes - 1)
    const sort = this.below(3)
    await this.fixture.damage(file, (contents) => {
      if (sort === 0) return contents.subarray(0, at)
      if (sort === 1) return contents.fill(0, batch.position)
      contents[at] ^= 1 << this.below(8)
      // A flip in the base offset or the leader epoch is not covered by the checksum: make it one that is.
      if (at < batch.position + 16) contents[batch.position + 60] ^= 1
      return contents
    })
    this.tears++
    return batch.base
  }

  /** Appends until the disk is full, then gives it room: what was not written is taken back, and appends are taken again. */
  private async fillDisk(): Promise<void> {
    const { disk, clock } = this.fixture
    await this.log.flush()
    const { totalBytes, freeBytes } = await disk.space('/')
    disk.capacityBytes = totalBytes - freeBytes + this.below(6000)
    for (let i = 0; i < 30 && this.log.logDirectory.state === 'online'; i++) {
      this.append()
      if (this.below(3) === 0) await settled()
    }
    disk.capacityBytes = Number.MAX_SAFE_INTEGER
    await settled()
    // The room is seen a moment later, and what was left behind is cleared away before anything is appended.
    for (let i = 0; i < 100 && this.refuses(); i++) {
      clock.advance(1000)
      await settled()
    }
    assert.equal(this.refuses(), false, 'appends are taken again')
  }

  private refuses(): boolean {
    try {
      this.log.append(Buffer.alloc(0), { origin: 'coordinator', leaderEpoch: 0 })
      return false
    } catch (error) {
      assert.equal((error as KafkaError).code, 'KAFKA_STORAGE_ERROR')
      return true
    }
  }

  // ── what the log tells ────────────────────────────────────────────────────────────────────────────────────────────

  get highWatermark(): bigint {
    return this.log.writtenOffset
  }

  onWritten(log: PartitionLog): void {
    assert.ok(log.writtenOffset <= log.endOffset)
  }

  onFlushed(log: PartitionLog): void {
    assert.ok(log.flushedOffset <= log.writtenOffset)
  }

  onDiscarded(log: PartitionLog): void {
    assert.equal(log.endOffset, log.writtenOffset)
    this.cutTo(this.batches.filter(({ last }) => last < log.endOffset))
  }

  onFailure(_log: PartitionLog, error: KafkaError): void {
    if (error.cause !== undefined) throw error
  }

  // ── what must hold ────────────────────────────────────────────────────────────────────────────────────────────────

  private visible(): Modelled[] {
    return this.batches.filter(({ last }) => last >= this.start)
  }

  private async compare(): Promise<void> {
    const batches = await readAll(this.log, this.start, 500 + this.below(5000))
    assert.deepEqual(
      batches.map((batch) => baseOffset(batch)),
      this.visible().map(({ base }) => base),
    )
    for (const [i, { bytes }] of this.visible().entries()) assert.ok(bytes.equals(batches[i]))
    for (let epoch = 0; epoch <= this.epoch; epoch++) {
      const found = this.log.endOffsetForEpoch(epoch)
      // Epochs that ended in front of the log's start may be forgotten.
      if (found === undefined || found.endOffset <= this.start) continue
      assert.deepEqual(found, this.endOfEpoch(epoch))
    }
    await this.compareTransactions()
  }

  private async compareTransactions(): Promise<void> {
    const transactions = this.transactions()
    // Nothing but the high watermark tells which markers count; it never goes back, so the log is asked for the present one only.
    const highWatermark = this.log.writtenOffset
    let stable = highWatermark
    for (const { firstOffset, lastOffset } of transactions) {
      if ((lastOffset === undefined || lastOffset >= highWatermark) && firstOffset < stable) stable = firstOffset
    }
    if (stable < this.start) stable = this.start < highWatermark ? this.start : highWatermark
    assert.equal(this.log.lastStableOffset(highWatermark), stable)
    const active = this.log.activeProducers().filter(({ currentTxnStartOffset }) => currentTxnStartOffset >= 0n)
    assert.deepEqual(
      new Map(active.map(({ producerId, currentTxnStartOffset }) => [producerId, currentTxnStartOffset])),
      new Map([...this.producers()].flatMap(([id, { began }]) => (began === undefined ? [] : [[id, began] as const]))),
    )
    const from = this.start + BigInt(this.below(Number(this.end - this.start) + 1))
    const upTo = from + BigInt(this.below(Number(this.end - from) + 1))
    const told = await this.log.abortedTransactions(from, upTo)
    assert.deepEqual(
      told.map(({ producerId, firstOffset, lastOffset }) => ({ producerId, firstOffset, lastOffset, aborted: true })),
      transactions.filter(({ aborted, firstOffset, lastOffset }) => aborted && lastOffset! >= from && firstOffset < upTo),
    )
    if (this.below(3) > 0) return
    const committed = await readCommitted(this.log, 500 + this.below(5000), highWatermark)
    const visible = this.visible().filter(({ bytes, last }) => !isControl(bytes) && last < stable)
    const isAborted = ({ bytes, base }: Modelled) =>
      isTransactional(bytes) &&
      transactions.some(
        ({ aborted, producerId, firstOffset, lastOffset }) =>
          aborted && producerId === bytes.readBigInt64BE(43) && firstOffset <= base && base < lastOffset!,
      )
    assert.deepEqual(
      committed.map((batch) => baseOffset(batch)),
      visible.filter((batch) => !isAborted(batch)).map(({ base }) => base),
    )
  }

  /** In the order of their ends, those that are open last. */
  private transactions(): ModelledTransaction[] {
    const ended: ModelledTransaction[] = []
    const open = new Map<bigint, bigint>()
    for (const { bytes, base } of this.batches) {
      const producerId = bytes.readBigInt64BE(43)
      if (!isTransactional(bytes)) continue
      const firstOffset = open.get(producerId)
      if (!isControl(bytes)) open.set(producerId, firstOffset ?? base)
      else if (firstOffset !== undefined) {
        const aborted = readControlRecord(bytes)?.type === 'abort'
        ended.push({ producerId, firstOffset, lastOffset: base, aborted })
        open.delete(producerId)
      }
    }
    return [
      ...ended,
      ...Array.from(open, ([producerId, firstOffset]) => ({ producerId, firstOffset, lastOffset: undefined, aborted: false })),
    ]
  }

  private endOfEpoch(epoch: number): { leaderEpoch: number; endOffset: bigint } | undefined {
    const next = this.epochStarts.find((entry) => entry.epoch > epoch)
    const own = this.epochStarts.findLast((entry) => entry.epoch <= epoch)
    if (next === undefined && own?.epoch !== epoch) return undefined
    return { leaderEpoch: own?.epoch ?? epoch, endOffset: next?.start ?? this.end }
  }

  private async readSomewhere(): Promise<void> {
    const span = Number(this.end - this.start)
    const from = this.start + BigInt(this.below(span + 1))
    const limitOffset = this.start + BigInt(this.below(span + 2))
    const maxBytes = this.below(3000)
    const atLeastOneBatch = this.below(2) === 0
    const { chunks, size } = await this.log.read(from, { maxBytes, limitOffset, atLeastOneBatch })
    const read = Buffer.concat(chunks)
    assert.equal(read.length, size)
    const candidates = this.batches.filter(({ last }) => last >= from && last < limitOffset).map(({ bytes }) => bytes)
    const all = Buffer.concat(candidates)
    assert.ok(all.subarray(0, size).equals(read), 'whole batches from the one that holds the offset')
    if (size > maxBytes) assert.ok(atLeastOneBatch && size === candidates[0].length)
    if (atLeastOneBatch && from < limitOffset && candidates.length > 0) assert.ok(size > 0, 'progress')
  }

  private async lookUpTimes(): Promise<void> {
    const limit = this.log.writtenOffset
    const records = this.visible()
      .filter(({ last }) => last < limit)
      .flatMap(({ bytes }) => [...decodeRecords(bytes)])
      .filter(({ offset }) => offset >= this.start)
    const timestamp = BigInt(this.fixture.clock.wallMs() - 2500 + this.below(5000))
    const found = await this.log.offsetForTimestamp(timestamp, limit)
    assert.equal(found?.offset, records.find((record) => record.timestamp >= timestamp)?.offset)
    const newest = records.reduce<bigint>((newest, record) => (record.timestamp > newest ? record.timestamp : newest), -1n)
    const last = await this.log.offsetOfMaxTimestamp(limit)
    assert.equal(last?.timestamp ?? -1n, newest)
    assert.equal(last?.offset, records.find((record) => record.timestamp === newest)?.offset)
  }

  /** By replaying all there ever was. */
  private producers(): Map<bigint, ModelledProducer> {
    const producers = new Map<bigint, ModelledProducer>()
    for (const { bytes, base, last } of this.batches) {
      const id = bytes.readBigInt64BE(43)
      if (id < 0n) continue
      const epoch = bytes.readInt16BE(51)
      let producer = producers.get(id)
      if (producer?.epoch !== epoch) {
        const { coordinatorEpoch = -1, began } = producer ?? {}
        producer = { epoch, batches: [], coordinatorEpoch, began }
        producers.set(id, producer)
      }
      if (isControl(bytes)) {
        const record = readControlRecord(bytes)
        if (record?.type !== 'other') producer.coordinatorEpoch = record!.coordinatorEpoch
        producer.began = undefined
        continue
      }
      if (isTransactional(bytes)) producer.began ??= base
      const first = bytes.readInt32BE(53)
      producer.batches.push({ first, last: first + Number(last - base), base, lastOffset: last })
      if (producer.batches.length > 5) producer.batches.shift()
    }
    return producers
  }
}

function judge(
  known: ModelledProducer | undefined,
  epoch: number,
  first: number,
  last: number,
  transactional: boolean,
): { base: bigint; lastOffset: bigint } | ErrorName | undefined {
  if (known === undefined) return undefined
  if (epoch < known.epoch) return 'INVALID_PRODUCER_EPOCH'
  const unlessOpen = known.began === undefined || transactional ? undefined : 'INVALID_TXN_STATE'
  if (epoch > known.epoch) return first === 0 ? unlessOpen : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
  const again = known.batches.find((batch) => batch.first === first && batch.last === last)
  if (again !== undefined) return again
  return first === (known.batches.at(-1)?.last ?? -1) + 1 ? unlessOpen : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
}

function judgeMarker(
  known: ModelledProducer | undefined,
  epoch: number,
  coordinatorEpoch: number,
  transactionVersion: number,
): ErrorName | 'done' | undefined {
  if (known === undefined) return undefined
  if (transactionVersion >= 2 && epoch === known.epoch) return known.began === undefined ? 'done' : 'INVALID_PRODUCER_EPOCH'
  if (epoch < known.epoch) return 'INVALID_PRODUCER_EPOCH'
  return coordinatorEpoch < known.coordinatorEpoch ? 'TRANSACTION_COORDINATOR_FENCED' : undefined
}

test(`${HISTORIES} random histories end as a list says they must`, async () => {
  const seeds = ONLY === undefined ? Array.from({ length: HISTORIES }, (_, i) => i) : [Number(ONLY)]
  for (const seed of seeds) {
    try {
      await new History(seed).run()
    } catch (error) {
      throw new Error(`seed ${seed} (MOLDAU_SEED=${seed}): ${(error as Error).message}`, { cause: error })
    }
  }
})
