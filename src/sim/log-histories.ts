// *Strategy*: random histories of a broker's logs (appends by producers with and without ids, rolls, flushes, deletions,
// truncations, topics that come and go, restarts in order, by `kill -9` and by power cut at any moment, disks that fail or fill
// up) run on the simulated disk and against plain models. Each history comes from one seed.
// *Invariants*: log-audit.ts, after every recovery; what was confirmed is there, nothing stands where it was not appended,
// everything that is derived from the log agrees with it, and what fails takes nothing else along.

import type { PartitionLog } from '../log/partition-log.ts'
import type { TopicId } from '../protocol/ids.ts'
import { auditDamaged, auditLog, demand, type Flip, runProblem, split, Violation } from './log-audit.ts'
import { redrawTopic, type StepName } from './log-history-setup.ts'
import { LogModel, type Sequence } from './log-model.ts'
import { maximum, minimum } from './log-trial.ts'
import { LogWriting } from './log-writing.ts'
import { SimulationHang, Tally } from './simulation.ts'

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

/** How often what has happened. */
export type HistoryFacts = Readonly<Record<string, number>>

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

class History extends LogWriting {
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
    return this.facts()
  }

  private facts(): HistoryFacts {
    const facts = new Tally(this.tally)
    facts.addAll(this.disk.tally)
    return Object.fromEntries(facts)
  }

  /** Nothing, a moment, or as long as the disk is busy. */
  private async letPass(): Promise<void> {
    const kind = this.dice.below(4)
    if (kind === 0) return
    if (kind === 3) return this.quiet()
    await this.simulation.turn()
    for (let i = this.dice.below(12); i > 0; i--) await this.simulation.step()
  }

  // ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  private async step(name: StepName): Promise<void> {
    const log = this.anyLog()
    if (log === undefined && !['cut a swap', 'restart', 'create', 'pass', 'heal', 'configure', 'scrub'].includes(name))
      return this.create()
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
      case 'reset':
        return this.reset(log!, model!)
      case 'compact':
        return this.watch('compaction', this.manager!.compact())
      case 'cut a swap':
        return this.cutSwap()
      case 'expire':
        return this.expire()
      case 'configure':
        return this.configure()
      case 'scrub':
        return this.scrub()
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
    const before = [...model.batches, ...(model.other ?? [])]
    const options = { maxBytes: dice.below(3000), limitOffset, atLeastOneBatch: true }
    // A log that has failed throws at once.
    const reading = (async () => log.read(from, options))()
    const checked = reading.then(({ chunks }) => {
      this.noteCompaction(log, model)
      const found = split(log.name, chunks)
      const candidates = (batches: Sequence) => batches.filter(({ last }) => last >= from)
      const problem =
        runProblem(model, found, candidates(before)) &&
        runProblem(model, found, candidates(model.batches)) &&
        runProblem(model, found, candidates([...model.batches, ...before]))
      this.check(problem === undefined, () => `read from ${from}: ${problem}`)
      this.tally.count('reads')
    })
    this.watch(`read ${log.name} from ${from}`, checked, { directory: log.directory, log })
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
    // Of what a failed reset has left, a cut that finds nothing to do makes nothing certain.
    if (this.emptying.has(log.name)) return
    this.noteCompaction(log, model)
    const lowest = Number(log.endOffset - log.logStartOffset)
    let offset = log.endOffset - BigInt(this.dice.below(Math.min(60, lowest) + 1))
    // What is committed is not cut off, as a rule.
    if (this.dice.chance(0.7)) offset = maximum(offset, minimum(model.decidedBelow, log.endOffset))
    this.changing.add(log.name)
    this.cutting.set(log.name, offset)
    const settled = () => void this.changing.delete(log.name)
    const done = () => {
      settled()
      this.cutting.delete(log.name)
      this.noteCompaction(log, model)
      model.cutTo(offset)
      const { logStartOffset: start, endOffset: end } = log
      // It may all have been deleted.
      const right = (end >= model.end && end <= model.latestEnd) || start === end
      demand(right, () => `${log.name} is cut to ${offset} and ends at ${end}, not at ${model.end}`)
      model.confirmCut(end)
    }
    this.watch(`truncation of ${log.name} to ${offset}`, log.truncateTo(offset), {
      directory: log.directory,
      done,
      failed: settled,
    })
  }

  private reset(log: PartitionLog, model: LogModel): void {
    if (log.failed !== undefined || log.logDirectory.state !== 'online') return
    const { dice } = this
    this.noteCompaction(log, model)
    const offset = dice.chance(0.5) ? log.endOffset + BigInt(dice.below(30)) : BigInt(dice.below(Number(log.endOffset) + 1))
    this.changing.add(log.name)
    this.cutting.set(log.name, offset)
    this.emptying.add(log.name)
    const settled = () => void this.changing.delete(log.name)
    const done = () => {
      settled()
      this.cutting.delete(log.name)
      this.emptying.delete(log.name)
      model.empty(offset)
      model.confirmCut(offset)
      model.compactedBelow = 0n
      model.decidedBelow = 0n
      const { logStartOffset: start, endOffset: end } = log
      demand(start === offset && end === offset, () => `${log.name} goes from ${start} to ${end}, reset to ${offset}`)
    }
    const failed = () => {
      settled()
      // Emptied, though a power cut may let it begin elsewhere.
      if (log.segments.length === 0 && log.endOffset === offset) model.empty(offset)
    }
    this.watch(`reset of ${log.name} to ${offset}`, log.resetTo(offset), { directory: log.directory, done, failed })
  }

  /** The power goes while segments take the place of others, if there are such to be cleaned: seldom enough by chance. */
  private async cutSwap(): Promise<void> {
    this.watch('compaction', this.manager!.compact())
    const isSwapping = () =>
      this.setup.directories.some((directory) =>
        [...this.models.keys()].some((name) =>
          this.disk.peekNames(`${directory}/${name}`).some((file) => file.endsWith('.log.swap')),
        ),
      )
    for (let i = 0; i < 300 && this.disk.busy > 0 && !isSwapping(); i++) await this.simulation.step()
    if (isSwapping()) this.tally.count('swaps cut short')
    // The moment when the new one is in place is a short one.
    const untilInPlace = this.dice.chance(0.5)
    for (let i = 0; i < 100 && untilInPlace && isSwapping(); i++) await this.simulation.step()
    for (let i = this.dice.below(untilInPlace ? 3 : 30); i > 0; i--) await this.simulation.step()
    this.rethrow()
    this.end('power cut')
    await this.open()
  }

  private expire(): void {
    this.note('producers expire')
    this.manager!.expireProducers()
    if (this.setup.tuning.producerIdExpirationMs === undefined) return
    for (const model of this.models.values()) model.expiredBelow = model.end
  }

  /** The first time only notes that it is not due. */
  private scrub(): void {
    this.tuning = { ...this.tuning, scrub: { intervalMs: 1, maxBytesPerSecond: 1e9 } }
    this.watch('scrub', this.manager!.scrub())
  }

  /** A topic is kept otherwise from now on. */
  private configure(): void {
    const name = this.dice.pick([...this.setup.topics.keys()])
    const setup = redrawTopic(this.setup.topics.get(name)!, this.dice)
    this.note(`configure ${name} ${JSON.stringify(setup)}`)
    this.setup.topics.set(name, setup)
    for (const log of this.manager!.logs()) if (log.topic === name) log.config = setup.config
    this.tally.count('changes of configuration')
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
    this.highWatermarks.delete(name)
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
      this.noteCompaction(log, model)
      await this.simulation.settle(this.unlessChanged(log, this.auditOne(log, model)))
    }
  }

  private async auditOne(log: PartitionLog, model: LogModel): Promise<void> {
    const held = await auditLog(log, model, this.clock.wallMs(), this.dice)
    await this.auditCommitted(log, model, held)
    this.tally.count('audits')
  }

  /** Retention and compaction may come in between. */
  private async unlessChanged(log: PartitionLog, audit: Promise<void>): Promise<void> {
    const { logStartOffset, segments } = log
    try {
      await audit
    } catch (error) {
      await log.changes.over()
      if (log.logStartOffset === logStartOffset && log.segments === segments) throw error
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
      await this.simulation.turn()
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
    const models = [...this.models.values()].filter(
      (model) => model.compactedBelow === 0n && model.visible(model.start).length > 0,
    )
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
