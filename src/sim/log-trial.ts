// A broker's logs on the simulated disk, with what is known of them: how they come up and go down, what their claims are worth
// then, what they report, and whether an error has an excuse. What happens to them is up to a history (log-histories.ts).

import { BufferPool, Lease } from '../bytes/buffer-pool.ts'
import { DiskError } from '../host/disk.ts'
import { LogDirectoryError } from '../log/log-directory.ts'
import type { LogEvent } from '../log/log-event.ts'
import { LogManager } from '../log/log-manager.ts'
import { defaultLogTuning } from '../log/log-tuning.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { type CallKind, type Fault, SimDisk } from './disk.ts'
import { auditDerived, auditRecovery, demand, type Flip, Violation } from './log-audit.ts'
import { drawSetup, type Setup } from './log-history-setup.ts'
import { LogModel, type Sequence } from './log-model.ts'
import { type Dice, SimClock, Simulation, Tally } from './simulation.ts'
import { auditTransactions } from './transaction-audit.ts'

export type Ending = 'power cut' | 'kill'

/** The log takes memory in large pieces, and every process anew: those of the dead serve the next ones. */
class Slabs extends BufferPool {
  protected readonly idle: Buffer[] = []
  protected readonly lent: Buffer[] = []

  override take(size: number): Lease {
    if (size < SLAB_BYTES) return super.take(size)
    const buffer = this.idle.find((slab) => slab.length >= size) ?? Buffer.allocUnsafeSlow(size)
    if (this.idle.includes(buffer)) this.idle.splice(this.idle.indexOf(buffer), 1)
    this.lent.push(buffer)
    return new Lease(buffer, undefined)
  }

  /** Nobody looks at what was lent any more. */
  recycle(): void {
    this.idle.push(...this.lent.splice(0))
  }
}

const SLAB_BYTES = 64 * 1024
const slabs = new Slabs()

export class LogTrial {
  readonly trace: string[] = []
  protected readonly tracing: boolean
  protected readonly simulation: Simulation
  protected readonly dice: Dice
  protected readonly setup: Setup
  protected disk: SimDisk
  protected clock: SimClock
  protected manager: LogManager | undefined
  protected readonly models = new Map<string, LogModel>()
  /** Truncations that are not confirmed: what the files hold is the one or the other. */
  protected readonly cutting = new Map<string, bigint>()
  /** Of those, the ones that leave nothing. */
  protected readonly emptying = new Set<string>()
  /** Topics whose creation or deletion was cut short: there or not. */
  protected readonly unsure = new Map<string, LogModel>()
  /** Creations and deletions under way. */
  protected readonly changing = new Set<string>()
  /** What the disk does may be blamed for. */
  protected faulty = false
  /** Directories that a fault has struck since the last start. */
  protected readonly struck = new Set<string>()
  /** Directories whose disk has been full since the last start, or since there was room again. */
  protected readonly filled = new Set<string>()
  protected damaged: { name: string; flip: Flip; reported: boolean } | undefined
  protected failure: Error | undefined
  protected topicIds = 0
  protected readonly tally = new Tally()
  protected tuning = defaultLogTuning
  /** Work under way, by kind. */
  private readonly working = new Map<string, number>()
  /** What has been committed stays so while a process lives, unless it is cut off. */
  protected readonly highWatermarks = new Map<string, bigint>()

  constructor(seed: number, tracing: boolean) {
    this.tracing = tracing
    this.simulation = new Simulation(seed)
    this.dice = this.simulation.stream('history')
    this.setup = drawSetup(this.simulation.stream('setup'))
    this.clock = new SimClock(this.simulation)
    this.disk = SimDisk.create(this.simulation, tracing ? (call) => this.note(`   ${call}`) : undefined)
    this.disk.slow = this.setup.slowDisk
    this.note(JSON.stringify(this.setup))
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  protected note(text: string): void {
    if (this.tracing) this.trace.push(`${(this.simulation.nowUs / 1000).toFixed(3)} ${text}`)
  }

  protected async quiet(): Promise<void> {
    await this.simulation.advance(0)
    while (this.disk.busy > 0) await this.simulation.step()
    this.rethrow()
  }

  /** What went wrong where nobody waits for the outcome. */
  protected rethrow(): void {
    if (this.failure !== undefined) throw this.failure
  }

  /** Follows work that goes on while other things happen. */
  protected watch(
    what: string,
    work: Promise<unknown>,
    {
      done = () => {},
      failed = () => {},
      directory,
      log,
    }: { done?: () => void; failed?: () => void; directory?: string; log?: PartitionLog } = {},
  ): void {
    this.note(what)
    const { disk } = this
    const kind = what.slice(0, what.indexOf(' ') >>> 0)
    this.working.set(kind, (this.working.get(kind) ?? 0) + 1)
    const over = () => this.working.set(kind, this.working.get(kind)! - 1)
    work.then(
      () => {
        if (disk !== this.disk) return
        over()
        this.note(`done: ${what}`)
        try {
          done()
        } catch (error) {
          this.failure ??= error as Error
        }
      },
      (error) => {
        if (disk !== this.disk) return
        over()
        this.tally.count(`${kind} fails`)
        this.note(`failed: ${what}: ${error.message}`)
        try {
          this.excuse(what, error, directory, log)
          failed()
        } catch (error) {
          this.failure ??= error as Error
        }
      },
    )
  }

  /** Errors are in order where the disk has given cause, and if they are of the kinds that are promised. */
  protected excuse(what: string, error: Error, directory?: string, log?: PartitionLog): void {
    if (log?.failed !== undefined && /is deleted/.test(log.failed.message)) return
    const typed = error instanceof KafkaError || error instanceof DiskError || error instanceof LogDirectoryError
    if (error.message === 'the log was cut' || (typed && this.isTroubled(directory))) return
    if (error instanceof KafkaError && /is being truncated|is closed|is deleted|deleted meanwhile/.test(error.message)) return
    throw new Violation(`${what} fails, and nothing is wrong with the disk: ${error.stack}`)
  }

  /** A disk has failed or is full: the one of `directory`, or any. */
  protected isTroubled(directory?: string): boolean {
    if (directory === undefined) return this.struck.size > 0 || this.filled.size > 0
    return this.struck.has(directory) || this.filled.has(directory)
  }

  /** For what is found out while nobody waits. */
  protected check(condition: boolean, sentence: () => string): void {
    if (!condition) this.failure ??= new Violation(sentence())
  }

  protected fault(): void {
    const { dice } = this
    const kinds = dice.pick<CallKind[]>([['read'], ['write'], ['sync'], ['write', 'sync'], ['open'], ['name'], ['open', 'name']])
    const under = dice.pick(this.setup.directories)
    const code = dice.pick(['EACCES', 'EIO', 'EIO', 'ENOSPC'] as const)
    const how: Partial<Fault> = dice.chance(0.5) ? { nth: 1 + dice.below(6) } : { probability: dice.pick([0.02, 0.2, 1]) }
    const fault: Fault = { under, kinds, code, ...how }
    this.note(`fault ${JSON.stringify(fault)}`)
    this.disk.faults = [...this.disk.faults, fault]
    this.faulty = true
    this.struck.add(under)
    this.tally.count('faults set up')
  }

  // ── ends and beginnings ──────────────────────────────────────────────────────────────────────────────────────────────

  /** In order. What happens to the power afterwards changes nothing. */
  protected async shutDown(): Promise<void> {
    this.note('close')
    const { manager } = this
    const claims = [...manager!.logs()].filter((log) => log.failed === undefined && !this.changing.has(log.name))
    const ends = new Map(claims.map((log) => [log, log.endOffset]))
    await this.simulation.settle(manager!.close())
    for (const [log, endOffset] of ends) {
      const durable = this.isTroubled(log.directory) || log.endOffset < endOffset || log.flushedOffset >= endOffset
      demand(durable, () => `${log.name} is closed, flushed to ${log.flushedOffset} and not to ${endOffset}`)
    }
    this.end(this.dice.pick(['power cut', 'kill']))
  }

  /** Of the process, which has claimed what it has claimed. */
  protected end(ending: Ending): void {
    for (const log of this.manager!.logs()) {
      const model = this.models.get(log.name)
      if (model !== undefined) this.remember(log, model)
    }
    this.vanish(ending)
  }

  protected remember(log: PartitionLog, model: LogModel): void {
    this.noteCompaction(log, model)
    model.flushed = log.flushedOffset
    // A sync that fails takes with it what was only in the files.
    model.written = log.logDirectory.state === 'offline' ? log.flushedOffset : log.writtenOffset
    const cut = this.cutting.get(log.name)
    if (cut === undefined) return
    if (this.emptying.has(log.name)) model.empty(cut)
    else model.cutTo(cut)
    model.flushed = minimum(model.flushed, model.lastEnd)
    model.written = minimum(model.written, model.lastEnd)
  }

  protected vanish(ending: Ending): void {
    this.note(ending)
    this.tally.count(`${ending}s`)
    for (const [kind, count] of this.working) if (count > 0) this.tally.count(`${kind} cut short`)
    this.working.clear()
    this.highWatermarks.clear()
    this.disk.faults = []
    this.disk = ending === 'power cut' ? this.disk.crash() : this.disk.kill()
    if (ending === 'power cut') for (const model of [...this.models.values(), ...this.unsure.values()]) model.losePower()
    this.clock = this.clock.restart()
    slabs.recycle()
    this.manager = undefined
    this.changing.clear()
    this.cutting.clear()
    this.emptying.clear()
    this.faulty = false
    this.filled.clear()
    this.struck.clear()
    for (const path of this.setup.directories) this.disk.setCapacity(path, Number.MAX_SAFE_INTEGER)
  }

  /** Comes up, in the end: until then the power may go again, and the disk may fail. */
  protected async open(): Promise<void> {
    while (this.dice.chance(0.15)) {
      const troubled = this.setup.faults && this.dice.chance(0.5)
      if (troubled) {
        this.fault()
        // A sync that fails may take with it what was only in the files.
        for (const model of [...this.models.values(), ...this.unsure.values()]) model.losePower()
      }
      this.watch('open', this.opening())
      await this.simulation.turn()
      for (let i = this.dice.below(150); i > 0; i--) await this.simulation.step()
      this.rethrow()
      this.vanish(this.dice.pick(['power cut', 'kill']))
    }
    this.note('open')
    this.tuning = { ...defaultLogTuning, ...this.setup.tuning }
    this.tally.count('restarts')
    this.manager = await this.simulation.settle(this.opening())
    this.settleUnsure()
    for (const [name, model] of this.models) {
      if (name === this.damaged?.name) continue
      const log = this.manager.get(model.topic, model.partition)
      demand(log !== undefined, () => `${name} is gone`)
      await this.simulation.settle(this.auditFound(log, model))
      this.observe(log)
    }
    for (const log of this.manager.logs()) {
      demand(this.models.has(log.name), () => `${log.name} is there: it was deleted, or never made`)
    }
    if (this.setup.periods !== undefined && this.damaged === undefined) this.manager.start(this.setup.periods)
    this.rethrow()
  }

  private async auditFound(log: PartitionLog, model: LogModel): Promise<void> {
    const held = await auditRecovery(log, model, this.setup.topics.get(model.topic)!.retains, this.dice)
    await auditDerived(log, model, held, this.clock.wallMs(), this.dice)
    await this.auditCommitted(log, model, held)
  }

  protected auditCommitted(log: PartitionLog, model: LogModel, held: Sequence): Promise<void> {
    return auditTransactions(log, model, held, this.dice)
  }

  protected opening(): Promise<LogManager> {
    const { disk } = this
    return LogManager.open({
      disk,
      clock: this.clock,
      random: this.simulation.stream('broker'),
      directories: this.setup.directories,
      identity: { nodeId: 1, clusterId: 'simulated' },
      config: (topic) => this.setup.topics.get(topic)!.config,
      limits: this.setup.limits,
      tuning: () => this.tuning,
      buffers: slabs,
      report: (event) => {
        if (disk === this.disk) this.hear(event)
      },
    })
  }

  /** What was being made or deleted is there or not, as a whole. */
  protected settleUnsure(): void {
    for (const [name, model] of this.unsure) {
      const log = this.manager!.get(model.topic, model.partition)
      if (log === undefined) continue
      // Made, and nothing of it known yet: a directory may be there without a name for its topic.
      const isNew = model.batches.length === 0 && model.other === undefined
      const made = log.topicId === model.topicId || isNew
      demand(made, () => `${name} has come back with the topic id ${log.topicId}`)
      const found = new LogModel(model.topic, model.partition, log.topicId)
      this.models.set(name, isNew ? found : model)
    }
    this.unsure.clear()
  }

  // ── what the logs tell ────────────────────────────────────────────────────────────────────────────────────────────

  protected hear(event: LogEvent): void {
    this.note(
      `reported: ${event.event}${'reason' in event ? ` ${event.reason}` : ''}${'error' in event ? ` ${event.error.message}` : ''}`,
    )
    const excused = this.struck.size > 0
    switch (event.event) {
      case 'log-failed':
      case 'corrupt-batch': {
        const flip = this.damaged?.flip
        const there = flip !== undefined && event.file === flip.file && (event.position === flip.position || flip.misleads)
        if (there) this.damaged!.reported = true
        return this.check(there || excused, () => `${event.event}: ${event.file} at ${event.position}: ${event.reason}`)
      }
      case 'log-compacted':
        this.tally.count('compactions')
        return this.tally.count('compactions that remove something', event.bytesAfter < event.bytesBefore ? 1 : 0)
      case 'segments-deleted': {
        const name = `${event.topic}-${event.partition}`
        // What is about to be cut off is not committed any more, though it was when somebody looked.
        if (this.changing.has(name)) return
        const committed = this.highWatermarks.get(name) ?? 0n
        return this.check(
          event.logStartOffset <= committed,
          () => `${name} is deleted below ${event.logStartOffset}, and committed up to ${committed}`,
        )
      }
      case 'compaction-failed': {
        const excusedToo = excused || this.filled.size > 0 || this.damaged !== undefined
        return this.check(
          excusedToo,
          () => `compaction of ${event.topic}-${event.partition} fails, and nothing is wrong with the disk: ${event.error.stack}`,
        )
      }
      case 'log-shorter-than-synced':
        return this.check(
          excused,
          () => `${event.topic}-${event.partition} ends at ${event.endOffset}, ${event.recoveryPoint} had been synced`,
        )
      case 'directory-offline': {
        const struck = [...this.struck].some((path) => event.directory.startsWith(path))
        return this.check(struck, () => `${event.directory} is offline without a fault of its disk: ${event.error.stack}`)
      }
      case 'background-failure': {
        const struck = [...this.struck, ...this.filled].some((path) => event.path.startsWith(path))
        return this.check(struck, () => `${event.path}: background work fails without a fault of its disk: ${event.error.stack}`)
      }
    }
  }

  protected highWatermarkOf(log: PartitionLog): bigint {
    const now = log.config.flushPolicy === 'group' ? log.flushedOffset : log.writtenOffset
    const known = this.highWatermarks.get(log.name) ?? 0n
    const lags = this.setup.lags && this.simulation.stream('followers').chance(0.7)
    const highest = minimum(lags ? known : maximum(now, known), log.endOffset)
    const highWatermark = minimum(highest, this.cutting.get(log.name) ?? highest)
    this.highWatermarks.set(log.name, highWatermark)
    return highWatermark
  }

  /** Compaction may have been at work below the active segment, as far as all is committed. */
  protected noteCompaction(log: PartitionLog, model: LogModel): void {
    const active = log.segments.at(-1)
    const { compacts, tombstonesGo } = this.setup.topics.get(log.topic)!
    if (!compacts || active === undefined) return
    model.compactedBelow = maximum(model.compactedBelow, minimum(active.baseOffset, this.highWatermarkOf(log)))
    model.decidedBelow = maximum(model.decidedBelow, this.highWatermarkOf(log))
    model.tombstonesGo ||= tombstonesGo
  }

  protected observe(log: PartitionLog): void {
    const highWatermark = () => this.highWatermarkOf(log)
    log.observer = {
      get highWatermark() {
        return highWatermark()
      },
      onWritten: () => {},
      onFlushed: () => {},
      onDiscarded: (log, error) => {
        this.note(`discarded ${log.name} behind ${log.endOffset}: ${error.message}`)
        this.check(this.isTroubled(log.directory), () => `${log.name} discards what was appended, and the disk is not full`)
        this.models.get(log.name)?.cutTo(log.endOffset)
      },
      onFailure: (log, error) => this.note(`${log.name} has failed: ${error.message}`),
    }
  }

  /** What must hold at any moment. */
  protected checkClaims(): void {
    this.rethrow()
    for (const log of this.manager!.logs()) {
      const { flushedOffset, writtenOffset, endOffset, logStartOffset } = log
      const ordered = flushedOffset <= writtenOffset && writtenOffset <= endOffset && logStartOffset <= endOffset
      demand(
        ordered,
        () => `${log.name}: start ${logStartOffset}, flushed ${flushedOffset}, written ${writtenOffset}, end ${endOffset}`,
      )
    }
  }
}

export const maximum = (a: bigint, b: bigint) => (a > b ? a : b)
export const minimum = (a: bigint, b: bigint) => (a < b ? a : b)
