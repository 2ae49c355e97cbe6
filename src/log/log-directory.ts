// A directory that holds logs (one of log.dirs): its lock, its identity, its checkpoints, and whether it can be used. What
// happens to a disk happens to all logs on it together.

import { type Disk, DiskError, type DiskLock } from '../host/disk.ts'
import { type Random, uuid } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { encodeOffsetCheckpoint, type OffsetMap, readIfPresent, readOffsetCheckpoint } from './checkpoint-file.ts'
import { decodeManifest, encodeManifest, type ManifestLog, manifestChecksum } from './clean-manifest.ts'
import {
  CLEAN_SHUTDOWN_MANIFEST,
  CLEAN_SHUTDOWN_MARKER,
  CLEANER_CHECKPOINT,
  HIGH_WATERMARK_CHECKPOINT,
  KAFKA_METADATA_LOG,
  LOCK_FILE,
  LOG_START_CHECKPOINT,
  META_PROPERTIES,
  RECOVERY_POINT_CHECKPOINT,
} from './file-names.ts'
import type { Report } from './log-event.ts'
import type { PartitionLog } from './partition-log.ts'
import { onDisk } from './storage-error.ts'

/** A log directory that cannot be used as it is. The message says why and what to do. */
export class LogDirectoryError extends Error {
  override readonly name = 'LogDirectoryError'
  readonly kind: 'in-use' | 'another-node' | 'another-cluster' | 'of-kafka' | 'unusable'
  readonly directory: string

  constructor(kind: LogDirectoryError['kind'], directory: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
    this.directory = directory
  }
}

/** Who the directory belongs to. */
export interface NodeIdentity {
  readonly nodeId: number
  readonly clusterId: string
}

/** `full`: reads go on, appends are refused until there is room. `offline`: a write or sync has failed, nothing is tried again. */
export type DirectoryState = 'online' | 'full' | 'offline'

type Checkpoint =
  | typeof RECOVERY_POINT_CHECKPOINT
  | typeof LOG_START_CHECKPOINT
  | typeof HIGH_WATERMARK_CHECKPOINT
  | typeof CLEANER_CHECKPOINT

export class LogDirectory {
  readonly path: string
  /** Names the directory in the cluster's metadata: 22 characters of base64url. */
  readonly id: string
  /** Whether all logs were closed in order when the directory was last used. */
  readonly cleanShutdown: boolean
  /** What that shutdown has written down of logs. Those that are not here must be looked at. */
  readonly manifest: ReadonlyMap<string, ManifestLog>
  readonly recoveryPoints: OffsetMap
  readonly logStartOffsets: OffsetMap
  readonly highWatermarks: OffsetMap
  readonly cleanedOffsets: OffsetMap
  /** Of the logs that live here. */
  readonly logs = new Set<PartitionLog>()
  /** How many are being made here. */
  making = 0
  /** Called when the disk has become full. */
  onFull: () => void = () => {}
  private readonly disk: Disk
  private readonly lock: DiskLock
  private readonly report: Report
  private currentState: DirectoryState = 'online'
  private failure: KafkaError | undefined
  /** What the files may say instead: a write is under way, or has failed. */
  private readonly unconfirmed = new Map<Checkpoint, OffsetMap>()
  private readonly saving = new Map<Checkpoint, Promise<void>>()
  private readonly waitingSave = new Map<Checkpoint, Promise<void>>()

  /** Creates the directory if need be, locks it and reads what lies in it beside the logs. Throws LogDirectoryError. */
  static async open(
    disk: Disk,
    path: string,
    identity: NodeIdentity | undefined,
    random: Random,
    report: Report,
  ): Promise<LogDirectory> {
    let lock: DiskLock | undefined
    try {
      await disk.makeDirectory(path)
      lock = await disk.lock(`${path}/${LOCK_FILE}`)
      if (lock === undefined) {
        throw new LogDirectoryError(
          'in-use',
          path,
          `${path} is in use by another broker: stop it, or give this one another directory`,
        )
      }
      const id = await readIdentity(disk, path, identity, random)
      const marker = `${path}/${CLEAN_SHUTDOWN_MARKER}`
      const mark = await readIfPresent(disk, marker)
      const manifest = mark === undefined ? new Map<string, ManifestLog>() : await readManifest(disk, path, mark, report)
      if (mark !== undefined) {
        // Gone before anything changes: a crash during loading must not be taken for a clean shutdown.
        await disk.remove(`${path}/${CLEAN_SHUTDOWN_MANIFEST}`)
        await disk.remove(marker)
        await disk.syncDirectory(path)
      }
      const offsets = (name: Checkpoint) =>
        readOffsetCheckpoint(disk, `${path}/${name}`, (error) =>
          report({ event: 'background-failure', path: `${path}/${name}`, error }),
        )
      return new LogDirectory(disk, path, id, lock, mark === undefined ? undefined : manifest, report, {
        recoveryPoints: await offsets(RECOVERY_POINT_CHECKPOINT),
        logStartOffsets: await offsets(LOG_START_CHECKPOINT),
        highWatermarks: await offsets(HIGH_WATERMARK_CHECKPOINT),
        cleanedOffsets: await offsets(CLEANER_CHECKPOINT),
      })
    } catch (error) {
      await lock?.release()
      if (error instanceof DiskError) {
        throw new LogDirectoryError('unusable', path, `${path} cannot be used: ${error.message}`, { cause: error })
      }
      throw error
    }
  }

  private constructor(
    disk: Disk,
    path: string,
    id: string,
    lock: DiskLock,
    manifest: ReadonlyMap<string, ManifestLog> | undefined,
    report: Report,
    checkpoints: { recoveryPoints: OffsetMap; logStartOffsets: OffsetMap; highWatermarks: OffsetMap; cleanedOffsets: OffsetMap },
  ) {
    this.disk = disk
    this.path = path
    this.id = id
    this.lock = lock
    this.cleanShutdown = manifest !== undefined
    this.manifest = manifest ?? new Map()
    this.report = report
    this.recoveryPoints = checkpoints.recoveryPoints
    this.logStartOffsets = checkpoints.logStartOffsets
    this.highWatermarks = checkpoints.highWatermarks
    this.cleanedOffsets = checkpoints.cleanedOffsets
  }

  get state(): DirectoryState {
    return this.currentState
  }

  /** Throws KafkaError KAFKA_STORAGE_ERROR unless appends can be taken. */
  requireWritable(): void {
    if (this.currentState === 'online') return
    throw this.failure ?? new KafkaError('KAFKA_STORAGE_ERROR', `${this.path} is ${this.currentState}`)
  }

  requireReadable(): void {
    if (this.currentState === 'offline') throw this.failure
  }

  /** All logs of the directory fail, once and for good. */
  fail(error: Error): void {
    if (this.currentState === 'offline') return
    this.currentState = 'offline'
    this.failure = new KafkaError('KAFKA_STORAGE_ERROR', `log directory ${this.path} is offline`, { cause: error })
    this.report({ event: 'directory-offline', directory: this.path, error })
    for (const log of this.logs) log.fail(this.failure)
  }

  becomeFull(error: Error): void {
    if (this.currentState !== 'online') return
    this.currentState = 'full'
    this.failure = new KafkaError('KAFKA_STORAGE_ERROR', `the disk of log directory ${this.path} is full`, { cause: error })
    this.report({ event: 'directory-full', directory: this.path, error })
    this.onFull()
  }

  becomeOnline(): void {
    if (this.currentState !== 'full') return
    this.currentState = 'online'
    this.failure = undefined
    this.report({ event: 'directory-has-room', directory: this.path })
  }

  /** Makes durable what the logs' recovery points are when the write begins. Callers at the same time share one write. */
  saveRecoveryPoints(): Promise<void> {
    return this.save(RECOVERY_POINT_CHECKPOINT, this.recoveryPoints, (log) => log.recoveryPoint)
  }

  /** As for recovery points. Logs that start where their first segment does need no entry. */
  saveLogStartOffsets(): Promise<void> {
    return this.save(LOG_START_CHECKPOINT, this.logStartOffsets, (log) => (log.startsInSegment ? log.logStartOffset : undefined))
  }

  saveHighWatermarks(): Promise<void> {
    return this.save(HIGH_WATERMARK_CHECKPOINT, this.highWatermarks, (log) => log.observer?.highWatermark)
  }

  saveCleanedOffsets(): Promise<void> {
    return this.save(CLEANER_CHECKPOINT, this.cleanedOffsets, (log) => (log.cleanedOffset > 0n ? log.cleanedOffset : undefined))
  }

  /** All checkpoints. */
  async checkpoint(): Promise<void> {
    await this.saveRecoveryPoints()
    await this.saveLogStartOffsets()
    await this.saveHighWatermarks()
    await this.saveCleanedOffsets()
  }

  /** Whether some checkpoint still speaks of a log of this name. */
  remembers(name: string): boolean {
    const saved = [this.recoveryPoints, this.logStartOffsets, this.highWatermarks, this.cleanedOffsets]
    return [...saved, ...this.unconfirmed.values()].some((offsets) => offsets.has(name))
  }

  /**
   * Resolves when no crash can leave the word that the log of this name is synced beyond `offset`, which it must not say itself any more.
   * Rejects with KafkaError KAFKA_STORAGE_ERROR.
   */
  async retractRecoveryPoint(name: string, offset: bigint): Promise<void> {
    const saved = [this.recoveryPoints, this.unconfirmed.get(RECOVERY_POINT_CHECKPOINT)]
    if (saved.some((points) => (points?.get(name) ?? 0n) > offset)) await onDisk(() => this.saveRecoveryPoints())
  }

  /** With everything flushed and closed. The next start will not look into the directories of logs that `isKnown` holds of. */
  async markCleanShutdown(isKnown: (log: PartitionLog) => boolean = () => true, brokerEpoch = -1): Promise<void> {
    if (this.currentState === 'offline') return
    const known = [...this.logs].filter(isKnown)
    const manifest = encodeManifest(known.map((log) => [log.name, log.state]))
    await this.disk.replaceFile(`${this.path}/${CLEAN_SHUTDOWN_MANIFEST}`, manifest)
    // Kafka reads the first two. A marker of hers does not name our manifest, which is then out of date.
    const marker = { version: 0, brokerEpoch, manifest: manifestChecksum(manifest) }
    await this.disk.replaceFile(`${this.path}/${CLEAN_SHUTDOWN_MARKER}`, Buffer.from(JSON.stringify(marker)))
  }

  async unlock(): Promise<void> {
    await this.lock.release()
  }

  private save(name: Checkpoint, saved: OffsetMap, offsetOf: (log: PartitionLog) => bigint | undefined): Promise<void> {
    const waiting = this.waitingSave.get(name)
    if (waiting !== undefined) return waiting
    const write = async () => {
      this.waitingSave.delete(name)
      const entries: { topic: string; partition: number; offset: bigint }[] = []
      const next: [string, bigint][] = []
      for (const log of this.logs) {
        const offset = offsetOf(log)
        if (offset === undefined) continue
        entries.push({ topic: log.topic, partition: log.partition, offset })
        next.push([log.name, offset])
      }
      if (same(saved, next) && !this.unconfirmed.has(name)) return
      this.unconfirmed.set(name, new Map(next))
      await this.disk.replaceFile(`${this.path}/${name}`, encodeOffsetCheckpoint(entries))
      this.unconfirmed.delete(name)
      saved.clear()
      for (const [log, offset] of next) saved.set(log, offset)
    }
    const running = this.saving.get(name)
    const promise = (running === undefined ? Promise.resolve() : running.catch(() => {})).then(write)
    this.waitingSave.set(name, promise)
    this.saving.set(name, promise)
    return promise
  }
}

function same(saved: OffsetMap, entries: readonly [string, bigint][]): boolean {
  return saved.size === entries.length && entries.every(([name, offset]) => saved.get(name) === offset)
}

/** Empty where the marker names none, or another than there is. */
async function readManifest(disk: Disk, path: string, marker: Buffer, report: Report): Promise<Map<string, ManifestLog>> {
  const file = `${path}/${CLEAN_SHUTDOWN_MANIFEST}`
  const manifest = await readIfPresent(disk, file)
  const named = /"manifest":(\d+)/.exec(marker.toString('utf8'))?.[1]
  if (manifest === undefined || named === undefined) return new Map()
  try {
    const logs = decodeManifest(manifest)
    return manifestChecksum(manifest) === Number(named) ? logs : new Map()
  } catch (error) {
    report({ event: 'background-failure', path: file, error: error as Error })
    return new Map()
  }
}

/**
 * Rejects with LogDirectoryError where an Apache Kafka keeps her metadata. Before anything of ours is written there: she does not start
 * beside a directory that she does not know.
 */
export async function refuseKafkas(disk: Disk, path: string, ownMetadata: string): Promise<void> {
  if (!(await disk.exists(`${path}/${KAFKA_METADATA_LOG}`)) || (await disk.exists(ownMetadata))) return
  const message = `${path} belongs to an Apache Kafka: "moldau adopt ${path}" takes over what is in it`
  throw new LogDirectoryError('of-kafka', path, message)
}

/** Kafka's meta.properties, version 1. Written when the directory is first used; afterwards it must fit. */
async function readIdentity(disk: Disk, path: string, identity: NodeIdentity | undefined, random: Random): Promise<string> {
  const file = `${path}/${META_PROPERTIES}`
  const contents = await readIfPresent(disk, file)
  const known = new Map<string, string>()
  for (const line of contents?.toString('utf8').split(/\r?\n/) ?? []) {
    const match = /^\s*([^#!\s=:][^=:\s]*)\s*[=:]\s*(.*?)\s*$/.exec(line)
    if (match !== null) known.set(match[1], match[2])
  }
  const nodeId = known.get('node.id') ?? known.get('broker.id')
  const clusterId = known.get('cluster.id')
  if (identity !== undefined && nodeId !== undefined && Number(nodeId) !== identity.nodeId) {
    const message = `${path} belongs to node ${nodeId}, this is node ${identity.nodeId}: set node.id=${nodeId}, or use another directory`
    throw new LogDirectoryError('another-node', path, message)
  }
  if (identity !== undefined && clusterId !== undefined && clusterId !== identity.clusterId) {
    const message = `${path} belongs to cluster ${clusterId}, this is cluster ${identity.clusterId}: use another directory`
    throw new LogDirectoryError('another-cluster', path, message)
  }
  const id = known.get('directory.id') ?? uuid(random)
  if (!known.has('directory.id') || (identity !== undefined && clusterId === undefined)) {
    known.set('version', '1')
    known.set('directory.id', id)
    if (identity !== undefined) {
      known.set('node.id', String(identity.nodeId))
      known.set('cluster.id', identity.clusterId)
    }
    const lines = [...known].map(([key, value]) => `${key}=${value}\n`)
    await disk.replaceFile(file, Buffer.from(lines.join('')))
  }
  return id
}
