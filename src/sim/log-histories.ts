// *Strategy*: random histories of a broker's logs (appends by producers with and without ids, rolls, flushes, deletions,
// truncations, topics that come and go, restarts in order, by `kill -9` and by power cut at any moment, disks that fail or fill
// up) run on the simulated disk and against plain models. Each history comes from one seed.
// *Invariants*: log-audit.ts, after every recovery; what was confirmed is there, nothing stands where it was not appended,
// everything that is derived from the log agrees with it, and what fails takes nothing else along.

import type { PartitionLog } from '../log/partition-log.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { TopicId } from '../protocol/ids.ts'
import { type BatchOptions, RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { batchSize } from '../protocol/records/batch-header.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { auditDamaged, auditLog, demand, type Flip, sameBatches, split, Violation } from './log-audit.ts'
import type { StepName } from './log-history-setup.ts'
import { LogModel, type Sequence } from './log-model.ts'
import { LogTrial, maximum, minimum } from './log-trial.ts'
import { SimulationHang } from './simulation.ts'
import { auditTransactions } from './transaction-audit.ts'

/** Enough room again, as the log sees it (1 MiB must be free). */
const ROOM = 4 * 1024 * 1024
/** A disk that was full has been looked at since. */
const ROOM_SEEN_MS = 2500

/** The history of one seed. Rejects with HistoryFailure. */
export async function runHistory(seed: number): Promise<HistoryFacts> {
  const { stackTraceLimit } = Error
  try {
    // Errors are part of the plan here, and their stacks take longer than all the rest.
    Error.stackTraceLimit = 0
    return await new History(seed, false).run()
  } catch (error) {
    Error.stackTraceLimit = stackTraceLimit
    // The same again, with its events written down.
    const traced = new History(seed, true)
    const again = await traced.run().then(
      () => new Error(`fails only the first time: ${error}`),
      (error) => error,
    )
    throw new HistoryFailure(seed, again, traced.trace)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

export interface HistoryFacts {
  readonly powerCuts: number
  readonly kills: number
  readonly restarts: number
  readonly batches: number
  readonly faults: number
}

export class HistoryFailure extends Error {
  override readonly name = 'HistoryFailure'
  readonly seed: number
  readonly #trace: readonly string[]

  constructor(seed: number, cause: Error, trace: readonly string[]) {
    const expected = cause instanceof Violation || cause instanceof SimulationHang
    super(`seed ${seed}: ${expected ? cause.message : cause.stack} (npm run sim:log -- --seed ${seed})`)
    this.seed = seed
    this.#trace = trace
  }

  /** All that happened, in order. Too long to be shown with the error. */
  get trace(): readonly string[] {
    return this.#trace
  }
}

class History extends LogTrial {
  /** Reads under way. */
  private readonly reading = new WeakMap<PartitionLog, number>()
  /** Of the next write in a transaction. */
  private nextEpoch = 0

  async run(): Promise<HistoryFacts> {
    await this.open()
    for (let i = 0; i < this.setup.steps; i++) {
      await this.step(this.dice.pick(this.setup.choices))
      await this.letPass()
      this.checkClaims()
    }
    await this.restart()
    if (this.setup.flips) await this.damage()
    else await this.shutDown()
    this.rethrow()
    return this.facts
  }

  /** Nothing, a moment, or as long as the disk is busy. */
  private async letPass(): Promise<void> {
    const kind = this.dice.below(4)
    if (kind === 0) return
    if (kind === 3) return this.quiet()
    for (let i = this.dice.below(12); i > 0; i--) await this.simulation.step()
  }

  // ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  private async step(name: StepName): Promise<void> {
    const log = this.anyLog()
    if (log === undefined && !['restart', 'create', 'pass', 'heal'].includes(name)) return this.create()
    const model = log && this.models.get(log.name)!
    switch (name) {
      case 'append':
        for (let i = this.dice.below(4); i >= 0; i--) this.append(log!, model!)
        return
      case 'roll':
        return this.watch(`roll ${log!.name}`, log!.roll(), { directory: log!.directory, log: log! })
      case 'flush':
        return this.flush(log!)
      case 'read':
        return this.read(log!, model!)
      case 'pass':
        this.note('time passes')
        if (this.dice.chance(0.1)) this.clock.jump(this.dice.between(-3_600_000, 3_600_000))
        return this.simulation.advance(this.dice.below(this.dice.chance(0.2) ? 3000 : 200))
      case 'checkpoint':
        return this.watch('checkpoint', this.manager!.checkpoint())
      case 'retention':
        return this.retention()
      case 'delete records':
        return this.deleteRecords(log!, model!)
      case 'truncate':
        return this.truncate(log!, model!)
      case 'epoch':
        return this.bumpEpoch(log!, model!)
      case 'create':
        return this.create()
      case 'delete':
        return this.delete(log!, model!)
      case 'audit':
        return this.audit()
      case 'fault':
        return this.fault()
      case 'fill':
        return this.fill()
      case 'heal':
        return this.heal()
      case 'restart':
        return this.restart()
    }
  }

  private anyLog(): PartitionLog | undefined {
    const logs = [...this.manager!.logs()].filter((log) => this.models.has(log.name) && !this.changing.has(log.name))
    return logs.length === 0 ? undefined : this.dice.pick(logs)
  }

  private append(log: PartitionLog, model: LogModel): void {
    const { dice } = this
    const count = 1 + dice.below(dice.chance(0.1) ? 20 : 4)
    if (this.setup.transactions && dice.chance(0.5)) return this.transact(log, model, count)
    if (dice.chance(0.4)) return void this.produce(log, model, count, { producerId: -1n, producerEpoch: -1, baseSequence: -1 })
    const producerId = BigInt(dice.below(3))
    const known = model.producers().get(producerId)
    const newest = known?.batches.at(-1)
    const again = known && dice.pick(known.batches)
    // Mostly what comes next; sometimes an old batch again, a gap, or another epoch.
    const sort = dice.below(10)
    const producerEpoch = Math.max(0, (known?.epoch ?? 0) + (sort === 0 ? 1 : sort === 1 ? -1 : 0))
    const repeats = (sort === 2 || sort === 3) && again !== undefined
    const next = newest === undefined ? dice.below(3) : newest.last + 1
    const baseSequence = repeats ? again.first : sort === 0 ? dice.below(2) : sort === 4 ? next + 2 : next
    const size = repeats ? again.last - again.first + 1 : count
    this.produce(log, model, size, { producerId, producerEpoch, baseSequence })
  }

  /** Writes in a transaction, or ends one. Each time in a new epoch: that is always right, and is not what this is about. */
  private transact(log: PartitionLog, model: LogModel, count: number): void {
    const { dice } = this
    const producer = { producerId: 10n + BigInt(dice.below(3)), producerEpoch: this.nextEpoch++ }
    const ends = dice.chance(0.4)
    const result = dice.chance(0.5) ? 'commit' : 'abort'
    const batch = ends
      ? endTransactionMarker({ ...producer, result, coordinatorEpoch: 0, timestamp: BigInt(this.clock.wallMs()) })
      : this.batch(log, count, { ...producer, baseSequence: 0, transactional: true })
    try {
      const origin = ends ? 'coordinator' : 'client'
      const { firstOffset, lastOffset, logAppendTimeMs } = log.append(Buffer.from(batch), { origin, leaderEpoch: model.epoch })
      this.note(`${ends ? result : 'write'} by ${producer.producerId} ${log.name} ${firstOffset} to ${lastOffset}`)
      demand(firstOffset === model.end, () => `${log.name}: appended at ${firstOffset}, the log ended at ${model.end}`)
      model.append(batch, firstOffset, ends ? 1 : count, ends ? -1n : logAppendTimeMs)
      this.facts.batches++
    } catch (error) {
      if (!(error instanceof KafkaError) || error.code !== 'KAFKA_STORAGE_ERROR') throw error
      this.excuse(`append to ${log.name}`, error, log.directory)
    }
  }

  private produce(
    log: PartitionLog,
    model: LogModel,
    count: number,
    producer: { producerId: bigint; producerEpoch: number; baseSequence: number },
  ): void {
    const batch = this.batch(log, count, producer)
    const { producerId, producerEpoch, baseSequence } = producer
    const known = producerId < 0n ? undefined : model.producers().get(producerId)
    const verdict = model.judge(known, producerEpoch, baseSequence, baseSequence + count - 1, log.logStartOffset)
    const sentence = () =>
      `${log.name}: producer ${producerId} epoch ${producerEpoch} sequences ${baseSequence} to ${baseSequence + count - 1}`
    try {
      const sent = Buffer.from(batch)
      const { firstOffset, lastOffset, duplicate, logAppendTimeMs } = log.append(sent, {
        origin: 'client',
        leaderEpoch: model.epoch,
      })
      this.note(`append ${log.name} ${firstOffset} to ${lastOffset}${duplicate ? ' (again)' : ''}, ${batchSize(batch)} bytes`)
      if (duplicate) {
        const original = typeof verdict === 'object' ? verdict.duplicateOf : undefined
        const right = original?.base === firstOffset && original.last === lastOffset
        demand(
          right || verdict === 'unsure',
          () => `${sentence()} is called a duplicate of ${firstOffset} to ${lastOffset}: ${describe(verdict)} was due`,
        )
        return
      }
      const appends = verdict === 'append' || verdict === 'unsure' || (typeof verdict === 'object' && verdict.forgotten)
      demand(appends, () => `${sentence()} is appended at ${firstOffset}: ${describe(verdict)} was due`)
      demand(firstOffset === model.end, () => `${log.name}: appended at ${firstOffset}, the log ended at ${model.end}`)
      model.append(batch, firstOffset, count, logAppendTimeMs)
      this.facts.batches++
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      this.note(`append ${log.name}: ${error.message}`)
      if (error.code === 'KAFKA_STORAGE_ERROR') return this.excuse(`append to ${log.name}`, error, log.directory)
      const right = error.code === verdict || verdict === 'unsure' || (typeof verdict === 'object' && verdict.forgotten)
      demand(right, () => `${sentence()} is refused with ${error.code}: ${describe(verdict)} was due`)
    }
  }

  private batch(log: PartitionLog, count: number, options: BatchOptions): Buffer {
    const { dice } = this
    const nowMs = this.clock.wallMs()
    const builder = new RecordBatchBuilder()
    const room = Math.max(0, Math.floor((log.config.segmentBytes - 100) / count) - 40)
    const size = Math.min(room, dice.chance(0.1) ? dice.below(2000) : dice.below(120))
    const value = Buffer.allocUnsafe(size).fill(dice.below(256))
    for (let i = 0; i < count; i++) {
      const timestamp = BigInt(nowMs - 2000 + dice.below(4000))
      builder.append({ timestamp, key: null, value })
    }
    return builder.build(options)
  }

  private flush(log: PartitionLog): void {
    const { endOffset } = log
    this.watch(`flush ${log.name} to ${endOffset}`, log.flush(), {
      directory: log.directory,
      done: () => {
        if (log.failed !== undefined || log.endOffset < endOffset || this.changing.has(log.name)) return
        this.check(log.flushedOffset >= endOffset, () => `${log.name} is flushed to ${log.flushedOffset}, not to ${endOffset}`)
      },
    })
  }

  private read(log: PartitionLog, model: LogModel): void {
    const { dice } = this
    const from = log.logStartOffset + BigInt(dice.below(Number(log.endOffset - log.logStartOffset) + 1))
    const limitOffset = dice.chance(0.5) ? log.flushedOffset : log.endOffset
    const before = model.batches
    const options = { maxBytes: dice.below(3000), limitOffset, atLeastOneBatch: true }
    this.reading.set(log, (this.reading.get(log) ?? 0) + 1)
    // A log that has failed throws at once.
    const reading = (async () => log.read(from, options))()
    const checked = reading.then(({ chunks }) => {
      const found = split(log.name, chunks)
      const wrong = (batches: Sequence) => {
        const candidates = batches.filter(({ last }) => last >= from)
        return sameBatches(log.name, found, candidates.slice(0, found.length))
      }
      const problem = wrong(before) && wrong(model.batches)
      this.check(problem === undefined, () => `read from ${from}: ${problem}`)
    })
    this.watch(
      `read ${log.name} from ${from}`,
      checked.finally(() => this.reading.set(log, this.reading.get(log)! - 1)),
      {
        directory: log.directory,
        log,
      },
    )
  }

  private retention(): void {
    for (const log of this.manager!.logs()) {
      const model = this.models.get(log.name)
      if (model !== undefined && this.setup.topics.get(log.topic)!.retains)
        model.startLimit = maximum(model.startLimit, log.endOffset)
    }
    this.watch('retention', this.manager!.checkRetention(), { done: () => this.noteStarts() })
  }

  /** What has been deleted stays deleted. */
  private noteStarts(): void {
    if (this.isTroubled()) return
    for (const log of this.manager!.logs()) {
      const model = this.models.get(log.name)
      if (model === undefined || log.failed !== undefined) continue
      model.start = maximum(model.start, log.segments[0]?.baseOffset ?? 0n)
    }
  }

  private deleteRecords(log: PartitionLog, model: LogModel): void {
    const span = Number(this.highWatermarkOf(log) - log.logStartOffset)
    if (span <= 0) return
    const offset = log.logStartOffset + BigInt(this.dice.below(span + 1))
    model.startLimit = maximum(model.startLimit, offset)
    this.watch(`delete records of ${log.name} below ${offset}`, log.advanceLogStartOffset(offset), {
      directory: log.directory,
      done: () => {
        model.start = maximum(model.start, minimum(offset, model.end))
      },
    })
  }

  private truncate(log: PartitionLog, model: LogModel): void {
    if (log.failed !== undefined || log.logDirectory.state !== 'online') return
    // A read that a truncation overtakes may take it for damage. Nobody reads above the high watermark, nor cuts below it.
    if ((this.reading.get(log) ?? 0) > 0) return
    const offset = log.endOffset - BigInt(this.dice.below(Math.min(60, Number(log.endOffset - log.logStartOffset)) + 1))
    this.changing.add(log.name)
    this.cutting.set(log.name, offset)
    const settled = () => void this.changing.delete(log.name)
    const done = () => {
      settled()
      this.cutting.delete(log.name)
      model.cutTo(offset)
      model.other = undefined
      // All of it had been deleted: it goes on where it was cut.
      if (log.logStartOffset === log.endOffset) model.end = log.endOffset
    }
    this.watch(`truncate ${log.name} to ${offset}`, log.truncateTo(offset), { directory: log.directory, done, failed: settled })
  }

  private bumpEpoch(log: PartitionLog, model: LogModel): void {
    model.epoch += 1 + this.dice.below(2)
    if (this.dice.chance(0.5)) {
      const assigned = Promise.resolve(log.assignLeaderEpoch(model.epoch))
      this.watch(`epoch ${model.epoch} for ${log.name}`, assigned, { directory: log.directory, log })
    }
  }

  private create(): void {
    const names = [...this.setup.topics].flatMap(([topic, { partitions }]) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic, partition, name: `${topic}-${partition}` })),
    )
    const free = names.filter(({ name }) => !this.models.has(name) && !this.changing.has(name) && !this.unsure.has(name))
    if (free.length === 0) return
    const { topic, partition, name } = this.dice.pick(free)
    const model = new LogModel(topic, partition, `MoldauSimulatedTopic${String(this.topicIds++ % 100).padStart(2, '0')}`)
    this.changing.add(name)
    this.unsure.set(name, model)
    const created = this.manager!.create(topic, model.topicId as TopicId, partition, this.setup.topics.get(topic)!.config)
    const settled = () => void this.changing.delete(name)
    const done = () => {
      settled()
      this.unsure.delete(name)
      this.models.set(name, model)
      this.observe(this.manager!.get(topic, partition)!)
    }
    this.watch(`create ${name}`, created, { done, failed: settled })
  }

  private delete(log: PartitionLog, model: LogModel): void {
    this.models.delete(log.name)
    this.changing.add(log.name)
    this.unsure.set(log.name, model)
    const settled = () => void this.changing.delete(log.name)
    const done = () => {
      settled()
      this.unsure.delete(log.name)
    }
    this.remember(log, model)
    this.watch(`delete ${log.name}`, this.manager!.delete(log.topic, log.partition), {
      directory: log.directory,
      done,
      failed: settled,
    })
  }

  private async audit(): Promise<void> {
    await this.quiet()
    for (const log of this.manager!.logs()) {
      const model = this.models.get(log.name)
      if (model === undefined || this.changing.has(log.name) || log.failed !== undefined) continue
      if (this.faulty || this.filled.has(log.directory) || log.logDirectory.state !== 'online') continue
      demand(log.writtenOffset === log.endOffset, () => `${log.name}: written to ${log.writtenOffset}, ends at ${log.endOffset}`)
      demand(log.pendingBytes === 0, () => `${log.name}: ${log.pendingBytes} bytes wait for nothing`)
      const durable = log.config.flushPolicy !== 'group' || log.flushedOffset === log.endOffset
      demand(durable, () => `${log.name}: flushed to ${log.flushedOffset}, ends at ${log.endOffset}`)
      await this.simulation.settle(this.unlessDeleted(log, auditLog(log, model, this.clock.wallMs(), this.dice)))
      await this.simulation.settle(this.unlessDeleted(log, auditTransactions(log, model, this.dice)))
    }
  }

  /** Retention may come in between. */
  private async unlessDeleted(log: PartitionLog, audit: Promise<void>): Promise<void> {
    const { logStartOffset } = log
    try {
      await audit
    } catch (error) {
      if (log.logStartOffset === logStartOffset) throw error
    }
  }

  // ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  private fill(): void {
    const path = this.dice.pick(this.setup.directories)
    const room = this.dice.below(6000)
    this.note(`${path} has room for ${room}`)
    this.disk.setCapacity(path, this.disk.used(path) + room)
    this.filled.add(path)
  }

  /** The disk is well again: what it did to a directory lasts until the next start, but a full one has room. */
  private async heal(): Promise<void> {
    if (!this.faulty && this.filled.size === 0) return
    this.note('healed')
    this.disk.faults = []
    this.faulty = false
    for (const path of this.setup.directories) this.disk.setCapacity(path, this.disk.used(path) + ROOM)
    await this.quiet()
    await this.simulation.advance(ROOM_SEEN_MS)
    await this.quiet()
    this.filled.clear()
    for (const path of this.setup.directories) this.disk.setCapacity(path, Number.MAX_SAFE_INTEGER)
    for (const directory of this.manager!.directories) {
      if (this.struck.has(directory.path)) continue
      demand(directory.state === 'online', () => `${directory.path} is ${directory.state}: it was full, and has room again`)
    }
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  private async restart(): Promise<void> {
    const { dice } = this
    const kind = dice.below(10)
    if (kind < 3) await this.shutDown()
    else if (kind < 5) {
      this.watch('close', this.manager!.close())
      for (let i = dice.below(30); i > 0; i--) await this.simulation.step()
      this.end(dice.pick(['power cut', 'kill']))
    } else this.end(kind < 8 ? 'power cut' : 'kill')
    this.rethrow()
    await this.open()
  }

  /** The last act: a bit flips in what was closed in order, and nobody is served it, nor does anything else suffer. */
  private async damage(): Promise<void> {
    await this.shutDown()
    const flip = this.flipBit()
    await this.open()
    if (flip === undefined) return
    const { damaged } = this
    const log = this.manager!.get(this.models.get(damaged!.name)!.topic, this.models.get(damaged!.name)!.partition)!
    const refused = await this.simulation.settle(auditDamaged(log, this.models.get(damaged!.name)!, flip))
    demand(refused, () => `${log.name}: a reader of ${flip.batch.base} hears nothing of the damage`)
    demand(damaged!.reported, () => `${flip.file} is damaged at ${flip.position}: nobody is told`)
    this.note('power cut behind the damage')
    this.end('power cut')
    await this.open()
  }

  private flipBit(): Flip | undefined {
    const models = [...this.models.values()].filter((model) => model.visible(model.start).length > 0)
    if (models.length === 0) return undefined
    const model = this.dice.pick(models)
    const batch = this.dice.pick(model.visible(model.start))
    for (const directory of this.setup.directories) {
      const path = `${directory}/${model.name}`
      const files = this.disk.peekNames(path).filter((name) => name.endsWith('.log'))
      for (const name of files) {
        const file = `${path}/${name}`
        const position = this.disk.peek(file)!.indexOf(batch.bytes)
        if (position === -1) continue
        // The base offset and the leader epoch are outside the checksum, in Kafka's format as it is.
        const at = this.dice.pick([8 + this.dice.below(4), 16 + this.dice.below(batch.bytes.length - 16)])
        this.disk.flip(file, position + at, this.dice.below(8))
        this.note(`bit flipped in ${file}, at ${at} of the batch ${batch.base} at ${position}`)
        const misleads = (at >= 8 && at < 12) || (at >= 23 && at < 27)
        const flip = { file, position, batch, misleads }
        this.damaged = { name: model.name, flip, reported: false }
        return flip
      }
    }
    return undefined
  }
}

const describe = (verdict: ReturnType<LogModel['judge']>) =>
  typeof verdict === 'object' ? `the answer that it is at ${verdict.duplicateOf.base} already` : verdict
