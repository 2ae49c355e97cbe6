// What is due from time to time for all logs of a broker: retention, compaction, checkpoints, expiry of producer ids, scrubbing,
// and a look at disks that were full. What fails is reported, and done again the next time.

import { type Clock, every, type Timer } from '../host/clock.ts'
import { type Cleanable, cleanLog, findCleanable } from './cleaner.ts'
import { SCRUB_CHECKPOINT } from './file-names.ts'
import type { LogDirectory } from './log-directory.ts'
import type { Report } from './log-event.ts'
import type { LogTuning } from './log-tuning.ts'
import type { LogEnvironment } from './log-types.ts'
import { Pace } from './pace.ts'
import type { PartitionLog } from './partition-log.ts'
import { RecoveryMarks } from './recovery-marks.ts'
import { Scrubber } from './scrubber.ts'

export interface Periods {
  /** log.retention.check.interval.ms */
  readonly retentionCheckMs: number
  /** log.flush.offset.checkpoint.interval.ms */
  readonly checkpointMs: number
  /** producer.id.expiration.check.interval.ms */
  readonly producerExpirationCheckMs: number
  /** log.cleaner.backoff.ms; undefined: nothing is compacted (log.cleaner.enable). */
  readonly compactionCheckMs: number | undefined
  /** When retention and compaction are first due, unless they are sooner anyway (log.initial.task.delay.ms). */
  readonly initialDelayMs: number
}

const DEFAULT_PERIODS: Periods = {
  retentionCheckMs: 300_000,
  checkpointMs: 60_000,
  producerExpirationCheckMs: 600_000,
  compactionCheckMs: 15_000,
  initialDelayMs: 30_000,
}

/** How often is looked whether it is time to read all sealed segments, unless that happens more often. */
const SCRUB_CHECK_MS = 60_000

/** How often a full disk is looked at, and how much must be free for appends to be taken again. */
const FULL_CHECK_MS = 1000
const ROOM_BYTES = 1024 * 1024

export class Housekeeping {
  private readonly env: LogEnvironment
  private readonly clock: Clock
  private readonly directories: readonly LogDirectory[]
  private readonly logs: () => Iterable<PartitionLog>
  private readonly tuning: () => LogTuning
  private readonly marks: RecoveryMarks
  private readonly cleanerPace: Pace
  private readonly scrubbers: readonly Scrubber[]
  private readonly timers: Timer[] = []
  private fullCheck: Timer | undefined
  private readonly retention = new Run(() => this.retain())
  private readonly compaction = new Run(() => this.compactDirty())
  private readonly scrubbing = new Run(() => this.scrubDirectories())
  private readonly checkpointing = new Run(() => this.saveCheckpoints())
  private stopped = false

  constructor(
    env: LogEnvironment,
    directories: readonly LogDirectory[],
    logs: () => Iterable<PartitionLog>,
    { tuning, recoveryMarkBytes }: { tuning: () => LogTuning; recoveryMarkBytes: number | undefined },
  ) {
    this.env = env
    this.clock = env.clock
    this.directories = directories
    this.logs = logs
    this.tuning = tuning
    this.marks = new RecoveryMarks(env.disk, recoveryMarkBytes)
    this.cleanerPace = new Pace(env.clock, () => tuning().cleaner.maxBytesPerSecond)
    this.scrubbers = directories.map((directory) => {
      directory.onFull = () => this.watchFullDisks()
      const path = `${directory.path}/${SCRUB_CHECKPOINT}`
      return new Scrubber(
        env,
        path,
        () => directory.logs,
        () => tuning().scrub,
      )
    })
  }

  start(periods: Partial<Periods>): void {
    const { clock } = this
    const { retentionCheckMs, checkpointMs, producerExpirationCheckMs, compactionCheckMs, initialDelayMs } = {
      ...DEFAULT_PERIODS,
      ...periods,
    }
    this.timers.push(
      every(clock, retentionCheckMs, () => this.checkRetention()),
      every(clock, checkpointMs, () => this.checkpoint()),
      every(clock, producerExpirationCheckMs, () => this.expireProducers()),
      every(clock, Math.min(this.tuning().scrub.intervalMs || SCRUB_CHECK_MS, SCRUB_CHECK_MS), () => this.scrub()),
    )
    if (initialDelayMs < retentionCheckMs) this.timers.push(clock.timer(initialDelayMs, () => this.checkRetention()))
    if (compactionCheckMs !== undefined) this.timers.push(every(clock, compactionCheckMs, () => this.compact()))
  }

  /** Nothing more is begun, and what is under way comes to its end as soon as it may. */
  stop(): void {
    this.stopped = true
    for (const timer of this.timers.splice(0)) timer.cancel()
    this.fullCheck?.cancel()
    for (const scrubber of this.scrubbers) scrubber.stop()
    this.cleanerPace.stop()
  }

  /** Resolves when nothing is under way. */
  async over(): Promise<void> {
    await this.retention.over()
    await this.compaction.over()
    await this.checkpointing.over()
    await this.scrubbing.over()
  }

  /** Deletes what has had its time, in all logs. */
  checkRetention(): Promise<void> {
    return this.retention.begin()
  }

  private async retain(): Promise<void> {
    for (const log of [...this.logs()]) {
      if (log.segments.length === 0 || log.failed !== undefined) continue
      const limit = log.observer?.highWatermark ?? log.writtenOffset
      await this.inBackground(log.path, async () => {
        try {
          await log.applyRetention(this.clock.wallMs(), limit)
        } catch (error) {
          // Deleted, or its directory offline, meanwhile: somebody has heard of it.
          if (log.failed === undefined) throw error
        }
      })
    }
  }

  /** Reads sealed segments, slowly, if it is time, to find what has been damaged. */
  scrub(): Promise<void> {
    return this.scrubbing.begin()
  }

  private async scrubDirectories(): Promise<void> {
    await Promise.all(
      this.directories.map(async ({ state, path }, i) => {
        if (state === 'online') await this.inBackground(path, () => this.scrubbers[i].runIfDue())
      }),
    )
  }

  /** Compacts the logs that need it, the dirtiest first, one after the other. */
  compact(): Promise<void> {
    return this.compaction.begin()
  }

  private async compactDirty(): Promise<void> {
    const nowMs = this.clock.wallMs()
    const dirty: { log: PartitionLog; work: Cleanable }[] = []
    for (const log of this.logs()) {
      if (!log.config.compacts || log.failed !== undefined || log.logDirectory.state !== 'online') continue
      const limit = log.observer?.highWatermark ?? log.writtenOffset
      const work = await findCleanable(log, nowMs, limit)
      if (work === undefined) continue
      if (work.overdue || work.dirtyRatio >= log.config.minCleanableDirtyRatio) dirty.push({ log, work })
    }
    dirty.sort((a, b) => b.work.dirtyRatio - a.work.dirtyRatio)
    for (const { log, work } of dirty) {
      if (this.stopped) return
      await this.compactOne(log, work, nowMs)
    }
  }

  private async compactOne(log: PartitionLog, work: Cleanable, nowMs: number): Promise<void> {
    const { clock } = this
    const { report } = this.env
    const { topic, partition } = log
    const startedMs = clock.monotonicMs()
    try {
      const { mapBytes, loadFactor } = this.tuning().cleaner
      const options = { mapBytes, loadFactor, nowMs, pace: this.cleanerPace }
      const cleaned = await cleanLog(log, this.env, work, options)
      if (cleaned === undefined) return
      await log.logDirectory.saveCleanedOffsets()
      const milliseconds = clock.monotonicMs() - startedMs
      const { segments, bytesBefore, bytesAfter } = cleaned
      const { firstDirtyOffset } = work
      report({ event: 'log-compacted', topic, partition, segments, bytesBefore, bytesAfter, firstDirtyOffset, milliseconds })
    } catch (error) {
      // A log that is deleted or fails meanwhile has said so itself.
      if (log.failed === undefined) report({ event: 'compaction-failed', topic, partition, error: error as Error })
    }
  }

  /** Makes durable from where on each log would have to be scanned, where it starts, and what its high watermark is. */
  checkpoint(): Promise<void> {
    return this.checkpointing.begin()
  }

  private async saveCheckpoints(): Promise<void> {
    for (const log of [...this.logs()]) {
      if (this.stopped) return
      if (log.logDirectory.state === 'online') await this.inBackground(log.path, () => this.marks.update(log))
    }
    for (const directory of this.directories) {
      if (directory.state !== 'online') continue
      await this.inBackground(directory.path, () => directory.checkpoint())
    }
  }

  expireProducers(): void {
    const expirationMs = this.tuning().producerIdExpirationMs
    const nowMs = this.clock.wallMs()
    for (const log of this.logs()) {
      log.producers.expire(nowMs, expirationMs)
      log.verifications.expire(nowMs, expirationMs)
    }
  }

  private watchFullDisks(): void {
    this.fullCheck ??= every(this.clock, FULL_CHECK_MS, async () => {
      for (const directory of this.directories) {
        if (directory.state !== 'full') continue
        await this.inBackground(directory.path, async () => {
          const { freeBytes } = await this.env.disk.space(directory.path)
          if (freeBytes >= ROOM_BYTES) directory.becomeOnline()
        })
      }
      if (this.directories.some(({ state }) => state === 'full')) return
      this.fullCheck?.cancel()
      this.fullCheck = undefined
    })
  }

  private inBackground(path: string, work: () => Promise<void>): Promise<void> {
    return inBackground(this.env.report, path, work)
  }
}

/** Work that is done again after a while, whatever has become of it. */
export async function inBackground(report: Report, path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    report({ event: 'background-failure', path, error: error as Error })
  }
}

/** Of some work, one run at a time: who asks for one while one is under way gets that one. */
class Run {
  private readonly work: () => Promise<void>
  private underWay: Promise<void> | undefined

  constructor(work: () => Promise<void>) {
    this.work = work
  }

  begin(): Promise<void> {
    this.underWay ??= this.work().finally(() => {
      this.underWay = undefined
    })
    return this.underWay
  }

  async over(): Promise<void> {
    await this.underWay
  }
}
