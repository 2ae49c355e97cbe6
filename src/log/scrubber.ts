// Reads sealed segments from time to time, slowly, so that a bit that has flipped is found before somebody needs it. What is found is
// reported; readers are refused it anyway, for they check what they read. Where a pass has got to outlives a restart.

import type { Clock } from '../host/clock.ts'
import type { Disk, DiskFile } from '../host/disk.ts'
import { headersOf } from './activate-segment.ts'
import { scanBatches } from './batch-scan.ts'
import { readIfPresent } from './checkpoint-file.ts'
import type { FilePool } from './file-pool.ts'
import type { Report } from './log-event.ts'
import type { ScrubSettings } from './log-tuning.ts'
import { Pace } from './pace.ts'
import type { PartitionLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/** How often a pass writes down where it is: what a restart may have it read again. */
const SAVE_EVERY_MS = 60_000

interface Progress {
  /** Wall time at which the last pass ended, or the first was put off. */
  finishedMs: number
  /** Logs are read in the order of their names, and this is the last that was. Undefined: no pass is under way. */
  after: string | undefined
}

export class Scrubber {
  private readonly env: { readonly clock: Clock; readonly disk: Disk; readonly pool: FilePool; readonly report: Report }
  private readonly path: string
  private readonly logs: () => Iterable<PartitionLog>
  private progress: Progress | undefined
  private savedMs = 0
  private readonly settings: () => ScrubSettings
  private readonly pace: Pace
  private stopped = false

  /** @param path of the file that keeps where it is */
  constructor(
    env: { readonly clock: Clock; readonly disk: Disk; readonly pool: FilePool; readonly report: Report },
    path: string,
    logs: () => Iterable<PartitionLog>,
    settings: () => ScrubSettings,
  ) {
    this.env = env
    this.path = path
    this.logs = logs
    this.settings = settings
    this.pace = new Pace(env.clock, () => settings().maxBytesPerSecond)
  }

  /** Begins a pass, or goes on with one, if it is time. Resolves with its end. Rejects with DiskError where it cannot note its progress. */
  async runIfDue(): Promise<void> {
    const { intervalMs } = this.settings()
    if (intervalMs === 0 || this.stopped) return
    const nowMs = this.env.clock.wallMs()
    this.progress ??= await this.load()
    if (this.progress === undefined) {
      // All there is has been written since, and what is written is checked.
      this.progress = { finishedMs: nowMs, after: undefined }
      return this.save()
    }
    if (this.progress.after === undefined && nowMs - this.progress.finishedMs < intervalMs) return
    await this.run()
  }

  /** A whole pass, or the rest of one. */
  async run(): Promise<void> {
    const after = this.progress?.after ?? ''
    this.progress = { finishedMs: this.progress?.finishedMs ?? 0, after }
    const logs = [...this.logs()].filter((log) => log.name > after).sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const log of logs) {
      for (const segment of log.segments.slice(0, -1)) {
        if (this.stopped) return this.save()
        // What has just been sealed may not be in its file yet.
        if (log.failed === undefined && segment.writtenSize === segment.size) await this.check(log, segment)
      }
      this.progress.after = log.name
      if (this.env.clock.monotonicMs() - this.savedMs >= SAVE_EVERY_MS) await this.save()
    }
    this.progress = { finishedMs: this.env.clock.wallMs(), after: undefined }
    await this.save()
  }

  /** A pass under way ends with the read that it is at, and goes on after the next start. */
  stop(): void {
    this.stopped = true
    this.pace.stop()
  }

  private async check(log: PartitionLog, segment: Segment): Promise<void> {
    const { pool, report } = this.env
    const { topic, partition } = log
    const path = segment.path('.log')
    // Of a cut that has begun already, no number tells the end.
    await log.changes.over()
    const { cuts } = log
    const isThere = () => !segment.deleted && log.failed === undefined && log.cuts === cuts && log.segments.includes(segment)
    try {
      const scan = await pool.use(path, 'read', (file) =>
        scanBatches(this.slowly(file), {
          ...headersOf(segment, 0),
          checkCrc: true,
          visit: () => !this.stopped && isThere(),
        }),
      )
      if (scan.problem === undefined || !isThere()) return
      report({ event: 'corrupt-batch', topic, partition, file: path, position: scan.position, reason: scan.problem })
    } catch (error) {
      if (isThere()) report({ event: 'background-failure', path, error: error as Error })
    }
  }

  /** The file, read no faster than it may be. */
  private slowly(file: DiskFile): DiskFile {
    const read = async (target: Buffer, position: number) => {
      await this.pace.ready()
      const count = await file.read(target, position)
      this.pace.spend(count)
      return count
    }
    return new Proxy(file, { get: (from, member) => (member === 'read' ? read : Reflect.get(from, member, from)) })
  }

  private async load(): Promise<Progress | undefined> {
    const contents = await readIfPresent(this.env.disk, this.path)
    try {
      const { finishedMs, after } = JSON.parse(contents?.toString('utf8') ?? '') as Partial<Progress>
      return typeof finishedMs === 'number' ? { finishedMs, after: typeof after === 'string' ? after : undefined } : undefined
    } catch {
      return undefined
    }
  }

  private async save(): Promise<void> {
    this.savedMs = this.env.clock.monotonicMs()
    await this.env.disk.replaceFile(this.path, Buffer.from(JSON.stringify({ version: 0, ...this.progress })))
  }
}
