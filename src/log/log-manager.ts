// All logs of a broker: opens them, makes new ones, takes them away. What is due for them from time to time is housekeeping.ts.

import { BufferPool } from '../bytes/buffer-pool.ts'
import type { Clock } from '../host/clock.ts'
import { type Disk, DiskError } from '../host/disk.ts'
import { hyphenatedUuid, type Random } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../protocol/ids.ts'
import { type Backup, takeBackup } from './backup.ts'
import { loadFromManifest } from './clean-manifest.ts'
import { DelayedRemoval } from './delayed-removal.ts'
import {
  deletedLogDirectoryName,
  isDeletedLogDirectory,
  isStrayLogDirectory,
  logDirectoryName,
  PARTITION_METADATA,
  parseLogDirectoryName,
  strayLogDirectoryName,
} from './file-names.ts'
import { FilePool, openLogFiles } from './file-pool.ts'
import { FlushTimer } from './flush-timer.ts'
import { Housekeeping, inBackground, type Periods } from './housekeeping.ts'
import { inParallel } from './in-parallel.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import { LogDirectory, LogDirectoryError, type NodeIdentity } from './log-directory.ts'
import type { Report } from './log-event.ts'
import { type LoadedLog, loadLog } from './log-loader.ts'
import { defaultLogTuning, type LogTuning } from './log-tuning.ts'
import type { LogEnvironment, LogIdentity } from './log-types.ts'
import { PartitionLog } from './partition-log.ts'
import { loadEndedTransactions } from './producer-recovery.ts'
import { ProducerState } from './producer-state.ts'
import { isDiskFull, onDisk } from './storage-error.ts'
import { TailCache } from './tail-cache.ts'

export interface LogLimits {
  /** Newest batches of all logs, in memory. */
  readonly cacheBytes: number
  /** Files of logs open at once. */
  readonly openFiles: number
  /** Of a log, between two places from which a recovery can go on. Tests want few. */
  readonly recoveryMarkBytes?: number
}

export const defaultLogLimits = {
  cacheBytes: 32 * 1024 * 1024,
}

export interface LogManagerOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  /** Absolute. Created if absent. */
  readonly directories: readonly string[]
  /** Memory for what is read, and for the newest batches. Default: a pool of its own. */
  readonly buffers?: BufferPool
  /** Checked against meta.properties, which is written where there is none. Undefined: neither. */
  readonly identity?: NodeIdentity
  /** Of a topic whose log is found. */
  readonly config: (topic: string) => LogConfig
  readonly limits?: Partial<LogLimits>
  /** What holds by now. Default: `defaultLogTuning`. */
  readonly tuning?: () => LogTuning
  readonly report: Report
}

export class LogManager {
  readonly directories: readonly LogDirectory[]
  private readonly env: LogEnvironment
  private readonly options: LogManagerOptions
  private readonly byName = new Map<string, PartitionLog>()
  private readonly creating = new Map<string, Promise<PartitionLog>>()
  /** Being deleted or set aside. */
  private readonly leaving = new Map<string, Promise<PartitionLog>>()
  /** Of the same name as another, in another directory, and not empty. */
  private readonly shadowed = new Map<string, PartitionLog>()
  private readonly housekeeping: Housekeeping

  /**
   * Locks the directories, brings every log in them up, recovering what was not shut down in order.
   * Rejects with LogDirectoryError where a directory is in use, belongs to another node, or none is usable.
   */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const { disk, clock, random, report, buffers = new BufferPool() } = options
    const limits = { ...defaultLogLimits, openFiles: openLogFiles(disk.openFileLimit), ...options.limits }
    const directories: LogDirectory[] = []
    let unusable: LogDirectoryError | undefined
    try {
      for (const path of options.directories) {
        try {
          directories.push(await LogDirectory.open(disk, path, options.identity, random, report))
        } catch (error) {
          if (!(error instanceof LogDirectoryError) || error.kind !== 'unusable') throw error
          unusable ??= error
          if (options.directories.length > 1) report({ event: 'directory-offline', directory: path, error })
        }
      }
      const env: LogEnvironment = {
        disk,
        pool: new FilePool(disk, limits.openFiles),
        clock,
        random,
        cache: new TailCache(limits.cacheBytes, buffers),
        buffers,
        flushTimer: new FlushTimer(clock),
        removal: new DelayedRemoval(clock, report),
        report,
      }
      const manager = new LogManager(options, directories, env)
      for (const directory of directories) unusable = (await manager.load(directory)) ?? unusable
      if (directories.every(({ state }) => state === 'offline')) {
        throw unusable ?? new LogDirectoryError('unusable', '', 'no log directory is given')
      }
      // Loading has opened the files of every log, and most logs are idle.
      await env.pool.close()
      return manager
    } catch (error) {
      for (const directory of directories) await directory.unlock()
      throw error
    }
  }

  private constructor(options: LogManagerOptions, directories: readonly LogDirectory[], env: LogEnvironment) {
    this.options = options
    this.directories = directories
    this.env = env
    this.housekeeping = new Housekeeping(env, directories, () => this.logs(), {
      tuning: options.tuning ?? (() => defaultLogTuning),
      recoveryMarkBytes: options.limits?.recoveryMarkBytes,
    })
  }

  /** Not every directory is usable: a log that is not here may be there. */
  get isPartial(): boolean {
    return this.directories.length < this.options.directories.length || this.directories.some(({ state }) => state === 'offline')
  }

  get(topic: string, partition: number): PartitionLog | undefined {
    return this.byName.get(logDirectoryName(topic, partition))
  }

  logs(): Iterable<PartitionLog> {
    return this.byName.values()
  }

  /** Bytes appended that are not in files yet, of all logs: what a broker should bound by not reading on. */
  get pendingBytes(): number {
    let bytes = 0
    for (const log of this.byName.values()) bytes += log.pendingBytes
    return bytes
  }

  /**
   * For a log that was just loaded, of which only what is below `highWatermark` is known to be committed: finds the transactions that
   * ended behind it, which readers of committed records must not get ahead of. Rejects with KafkaError KAFKA_STORAGE_ERROR.
   */
  recallEndedTransactions(log: PartitionLog, highWatermark: bigint): Promise<void> {
    return log.changes.take(async () => {
      const from = highWatermark > log.logStartOffset ? highWatermark : log.logStartOffset
      if (log.failed !== undefined || from >= log.endOffset || !log.producers.hasEnded) return
      const { disk, pool, clock } = this.env
      const storage = { disk, pool, directory: log.path }
      const range = { from, to: log.endOffset }
      const known = await onDisk(() => loadEndedTransactions(storage, log.segments, range, clock.wallMs()))
      log.producers.transactions.recallEnded(known, from)
    })
  }

  /**
   * A new log, empty, whose directory is durable when this resolves. The one with the fewest logs of the usable directories takes it,
   * or the next if its disk does not let it.
   * Where one of this name is being deleted, that comes first. Rejects with KafkaError KAFKA_STORAGE_ERROR.
   */
  create(topic: string, topicId: TopicId, partition: number, config: LogConfig): Promise<PartitionLog> {
    const name = logDirectoryName(topic, partition)
    if (this.byName.has(name) || this.creating.has(name)) return Promise.reject(new Error(`the log of ${name} exists`))
    const gone: Promise<unknown> = this.leaving.get(name)?.catch(() => {}) ?? Promise.resolve()
    const created = gone.then(() => this.make(topic, topicId, partition, config)).finally(() => this.creating.delete(name))
    this.creating.set(name, created)
    return created
  }

  /**
   * Gone for everyone when this resolves; off the disk after file.delete.delay.ms. Appends that wait fail with UNKNOWN_TOPIC_OR_PARTITION.
   * Rejects with KafkaError KAFKA_STORAGE_ERROR: then its directory is offline, and the next start may find it there.
   */
  async delete(topic: string, partition: number): Promise<void> {
    const name = logDirectoryName(topic, partition)
    const log = await this.takeAway(name, (id) => deletedLogDirectoryName(name, id))
    if (log === undefined) return
    const { disk, removal } = this.env
    const { path } = log
    removal.add(path, log.config.fileDeleteDelayMs, () => disk.remove(path))
  }

  /**
   * Gone as if it were deleted, but its files are kept under another name: nobody knows of a topic that they belong to. If another
   * directory has a log of this name, too, that is the one from now on.
   */
  async setAside(topic: string, partition: number): Promise<void> {
    const name = logDirectoryName(topic, partition)
    const log = await this.takeAway(name, (id) => strayLogDirectoryName(topic, partition, id))
    if (log === undefined) return
    const { path, topicId } = log
    const shadowed = this.shadowed.get(name)
    if (shadowed !== undefined) this.byName.set(name, shadowed)
    this.shadowed.delete(name)
    this.env.report({ event: 'log-set-aside', topic, partition, path, topicId })
  }

  private async takeAway(name: string, newName: (id: string) => string): Promise<PartitionLog | undefined> {
    const log = this.byName.get(name)
    if (log === undefined) return undefined
    this.byName.delete(name)
    const left = this.moveAway(log, newName).finally(() => this.leaving.delete(name))
    this.leaving.set(name, left)
    return left
  }

  private async moveAway(log: PartitionLog, newName: (id: string) => string): Promise<PartitionLog> {
    const { disk, random } = this.env
    const { name, logDirectory: directory } = log
    await log.abandon(new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `${name} is deleted`))
    const renamed = `${directory.path}/${newName(hyphenatedUuid(random).replaceAll('-', ''))}`
    await onDisk(async () => {
      try {
        await disk.rename(`${directory.path}/${name}`, renamed)
        await disk.syncDirectory(directory.path)
      } catch (error) {
        // Given up, and yet there: what it is, the next start must find out.
        directory.fail(error as Error)
        throw error
      }
    })
    // Not before: while a power cut would bring it back, checkpoints must speak of it.
    directory.logs.delete(log)
    log.path = renamed
    return log
  }

  /** Begins what is due from time to time. What follows can be asked for besides; a run that is under way is that one. */
  start(periods: Partial<Periods> = {}): void {
    this.housekeeping.start(periods)
  }

  /** Deletes what has had its time, in all logs. */
  checkRetention(): Promise<void> {
    return this.housekeeping.checkRetention()
  }

  /** Reads sealed segments, slowly, if it is time, to find what has been damaged. */
  scrub(): Promise<void> {
    return this.housekeeping.scrub()
  }

  /** Compacts the logs that need it, the dirtiest first, one after the other. */
  compact(): Promise<void> {
    return this.housekeeping.compact()
  }

  /** Makes durable from where on each log would have to be scanned, where it starts, and what its high watermark is. */
  checkpoint(): Promise<void> {
    return this.housekeeping.checkpoint()
  }

  /** Forgets producer ids that have not been used for long. */
  expireProducers(): void {
    this.housekeeping.expireProducers()
  }

  /** All logs as they are now: a copy of them can be made while they go on. Throws KafkaError where one has failed. */
  takeBackup(): Backup {
    return takeBackup(this.env.disk, this.env.removal, this.byName.values())
  }

  /**
   * Flushes and closes all logs, and says so where the next start looks. What fails is reported, and costs that start a scan.
   * `brokerEpoch`: in which the broker has handed over what it led; -1 where it has not, or has nobody to.
   */
  async close(brokerEpoch = -1): Promise<void> {
    this.housekeeping.stop()
    while (this.creating.size + this.leaving.size > 0) {
      await Promise.allSettled([...this.creating.values(), ...this.leaving.values()])
    }
    await this.housekeeping.over()
    this.env.flushTimer.stop()
    const leftOver = this.env.removal.paths
    await this.env.removal.stop()
    const unclean = new Set<LogDirectory>()
    await inParallel([...this.byName.values(), ...this.shadowed.values()], async (log) => {
      try {
        await log.close()
      } catch (error) {
        unclean.add(log.logDirectory)
        await log.changes.over()
        this.env.report({ event: 'background-failure', path: log.path, error: error as Error })
      }
    })
    await this.env.pool.close()
    for (const directory of this.directories) {
      await inBackground(this.env.report, directory.path, async () => {
        if (directory.state === 'offline') return
        await directory.checkpoint()
        // What is left in the directory of a log is removed by a start that looks into it.
        const isTidy = (log: PartitionLog) => !leftOver.some((path) => path.startsWith(`${log.path}/`))
        if (!unclean.has(directory)) await directory.markCleanShutdown(isTidy, brokerEpoch)
      })
      await directory.unlock()
    }
  }

  // ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Brings up the logs of a directory; takes it offline, and says why, if its disk fails. */
  private async load(directory: LogDirectory): Promise<LogDirectoryError | undefined> {
    const { disk, clock, report } = this.env
    const startedMs = clock.monotonicMs()
    try {
      // A process that was killed may have left names that a power cut would take back.
      await disk.syncDirectory(directory.path)
      const entries = await disk.list(directory.path)
      const names = entries.filter(({ isDirectory }) => isDirectory).map(({ name }) => name)
      await inParallel(names, (name) => this.loadOne(directory, name))
      // Where a log was found to end before its start, the start has moved.
      await directory.saveLogStartOffsets()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      for (const log of directory.logs) this.byName.delete(log.name)
      directory.fail(error)
      return new LogDirectoryError('unusable', directory.path, `${directory.path} cannot be used: ${error.message}`, {
        cause: error,
      })
    }
    const milliseconds = clock.monotonicMs() - startedMs
    report({
      event: 'logs-loaded',
      directory: directory.path,
      logs: directory.logs.size,
      clean: directory.cleanShutdown,
      milliseconds,
    })
    return undefined
  }

  private async loadOne(directory: LogDirectory, name: string): Promise<void> {
    const { disk, pool, clock, report, removal } = this.env
    const path = `${directory.path}/${name}`
    const parsed = parseLogDirectoryName(name)
    if (parsed === undefined) {
      if (isDeletedLogDirectory(name)) removal.add(path, 0, () => disk.remove(path))
      else if (isStrayLogDirectory(name)) report({ event: 'stray-log', path })
      else report({ event: 'stray-directory', path })
      return
    }
    const twin = this.byName.get(name)
    // A creation that failed in the one directory has left it, and was done in the other.
    if (twin !== undefined && (await this.isVacant(directory, name))) return disk.remove(path)
    const config = this.options.config(parsed.topic)
    const loaded =
      (await this.loadKnown(directory, name)) ??
      (await loadLog({
        disk,
        pool,
        directory: path,
        ...parsed,
        config,
        recoveryPoint: directory.recoveryPoints.get(name),
        logStartOffset: directory.logStartOffsets.get(name),
        cleanShutdown: directory.cleanShutdown,
        nowMs: clock.wallMs(),
        report,
      }))
    // Its creation was cut short.
    if (loaded.topicId === ZERO_UUID && loaded.segments.length === 0 && !directory.remembers(name)) return disk.remove(path)
    const log = this.add(directory, { ...parsed, topicId: loaded.topicId as TopicId }, config, loaded)
    if (twin === undefined) return
    if (await this.isVacant(twin.logDirectory, name)) {
      twin.logDirectory.logs.delete(twin)
      await inBackground(report, twin.path, () => disk.remove(twin.path))
      return
    }
    report({ event: 'stray-directory', path })
    this.byName.set(name, twin)
    this.shadowed.set(name, log)
  }

  /** Whether nothing is, or was, in the log of this name. */
  private async isVacant(directory: LogDirectory, name: string): Promise<boolean> {
    if (directory.remembers(name)) return false
    const files = await this.env.disk.list(`${directory.path}/${name}`)
    return !files.some((file) => file.name.endsWith('.log'))
  }

  /** As the shutdown has written it down, if nobody has changed the sizes of files since. */
  private async loadKnown(directory: LogDirectory, name: string): Promise<LoadedLog | undefined> {
    const entry = directory.manifest.get(name)
    if (entry === undefined) return undefined
    try {
      const loaded = loadFromManifest(entry, this.env, `${directory.path}/${name}`, this.env.clock.wallMs())
      for (const segment of loaded.segments) if (!(await segment.fitsFiles())) return undefined
      return loaded
    } catch {
      // Whatever it is that does not fit is found, and said, by looking at the log.
      return undefined
    }
  }

  private add(directory: LogDirectory, identity: LogIdentity, config: LogConfig, loaded: LoadedLog): PartitionLog {
    const log = new PartitionLog(this.env, directory, identity, config, loaded)
    this.byName.set(log.name, log)
    directory.logs.add(log)
    return log
  }

  private async make(topic: string, topicId: TopicId, partition: number, config: LogConfig): Promise<PartitionLog> {
    const sizeOf = ({ logs, making }: LogDirectory) => logs.size + making
    const usable = this.directories.filter(({ state }) => state !== 'offline').sort((a, b) => sizeOf(a) - sizeOf(b))
    let failure = new KafkaError('KAFKA_STORAGE_ERROR', 'all log directories are offline')
    for (const directory of usable) {
      directory.making++
      try {
        await this.makeDirectory(directory, logDirectoryName(topic, partition), topicId)
        return this.add(directory, { topic, topicId, partition }, config, emptyLog(topicId))
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        failure = new KafkaError('KAFKA_STORAGE_ERROR', error.message, { cause: error })
        // What a failed sync has lost no later one brings back; a disk that refuses has lost nothing.
        if (!isDiskFull(error) && error.code !== 'EACCES') directory.fail(error)
      } finally {
        directory.making--
      }
    }
    throw failure
  }

  private async makeDirectory(directory: LogDirectory, name: string, topicId: TopicId): Promise<void> {
    const path = `${directory.path}/${name}`
    // A checkpoint that still speaks of a deleted log of this name would be believed after a crash.
    if (directory.remembers(name)) await directory.checkpoint()
    await this.env.disk.makeDirectory(path)
    await this.env.disk.replaceFile(`${path}/${PARTITION_METADATA}`, Buffer.from(`version: 0\ntopic_id: ${topicId}\n`))
    await this.env.disk.syncDirectory(directory.path)
  }
}

function emptyLog(topicId: TopicId): LoadedLog {
  return {
    topicId,
    segments: [],
    logStartOffset: 0n,
    endOffset: 0n,
    epochs: new LeaderEpochs(),
    producers: new ProducerState(),
    snapshotOffset: undefined,
    damage: undefined,
  }
}
