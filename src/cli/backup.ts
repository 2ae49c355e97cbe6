// `moldau backup`: a copy of all data as it is at one moment, taken by the broker itself if it runs, or of the files if it does not.

import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { splitList } from '../config/value.ts'
import { realClock } from '../host/clock.ts'
import type { DiskLock } from '../host/disk.ts'
import { realDisk } from '../host/real-disk.ts'
import { decodeCheckpoint, encodeCheckpoint, readIfPresent } from '../log/checkpoint-file.ts'
import {
  CLEAN_SHUTDOWN_MANIFEST,
  CLEAN_SHUTDOWN_MARKER,
  CLEANER_CHECKPOINT,
  HIGH_WATERMARK_CHECKPOINT,
  LOCK_FILE,
  LOG_START_CHECKPOINT,
  META_PROPERTIES,
  RECOVERY_POINT_CHECKPOINT,
  SCRUB_CHECKPOINT,
} from '../log/file-names.ts'
import { BackupError, dataFiles, isEmptyOrAbsent, sealBackup } from './backup-files.ts'
import { askBroker } from './control-socket.ts'

const OFFSET_CHECKPOINTS = [RECOVERY_POINT_CHECKPOINT, LOG_START_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, CLEANER_CHECKPOINT]
/** Without the marker of a clean shutdown the logs are looked at, from their recovery points on: little, and once. */
const OF_ONE_DIRECTORY = new Set([
  ...OFFSET_CHECKPOINTS,
  META_PROPERTIES,
  CLEAN_SHUTDOWN_MARKER,
  CLEAN_SHUTDOWN_MANIFEST,
  SCRUB_CHECKPOINT,
])

const HELP = `Copies all data, as it is at one moment, into a new directory. The broker may run, and goes on serving.

  moldau backup /backups/monday
  moldau backup /backups/monday --data-dir /var/lib/moldau
  moldau backup /backups/monday --data-dir /disk1/moldau,/disk2/moldau

  --data-dir DIRS    where the data lies: log.dirs, in its order              (./data)

The copy can be started from at once: moldau restore puts it into a new data directory. See docs/operations.md.
`

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    options: { 'data-dir': { type: 'string', default: './data' }, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  })
  if (values.help) return void process.stdout.write(HELP)
  if (positionals.length !== 1) return refuse('say which directory the copy goes to: moldau backup DIR')
  const target = resolve(positionals[0])
  const directories = splitList(values['data-dir']).map((directory) => resolve(directory))
  try {
    if (!(await isEmptyOrAbsent(target))) throw new BackupError(`${target} is not empty`)
    const answer = await askBroker(directories[0], { command: 'backup', directory: target })
    if (answer === undefined) await copyStopped(directories, target)
    else if (!answer.ok) throw new BackupError(answer.error)
    const files = await sealBackup(target, realClock.wallMs())
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    process.stdout.write(`${files.length} files, ${bytes} bytes in ${target}\n`)
  } catch (error) {
    refuse((error as Error).message)
  }
}

/** Of a broker that does not run: what its files hold, cleanly shut down or not. */
async function copyStopped(directories: readonly string[], target: string): Promise<void> {
  const locks: DiskLock[] = []
  try {
    for (const data of directories) {
      if (!(await realDisk.exists(join(data, META_PROPERTIES)))) throw new BackupError(`${data} is no data directory`)
      const lock = await realDisk.lock(join(data, LOCK_FILE))
      if (lock === undefined) throw new BackupError(`a broker uses ${data}, but does not answer: is its version older?`)
      locks.push(lock)
    }
    for (const data of directories) {
      for (const file of await dataFiles(data)) {
        if (directories.length > 1 && OF_ONE_DIRECTORY.has(file)) continue
        await mkdir(join(target, dirname(file)), { recursive: true })
        await copyFile(join(data, file), join(target, file))
      }
    }
    if (directories.length > 1) await joinFacts(directories, target)
  } finally {
    for (const lock of locks) await lock.release()
  }
}

/** The copy is one directory: what each of several says of its own logs is said there of all. */
async function joinFacts(directories: readonly string[], target: string): Promise<void> {
  for (const name of OFFSET_CHECKPOINTS) {
    const entries: string[] = []
    for (const data of directories) {
      const path = join(data, name)
      const contents = await readIfPresent(realDisk, path)
      if (contents !== undefined && contents.length > 0)
        entries.push(...decodeCheckpoint(path, contents, 3).map((words) => words.join(' ')))
    }
    await realDisk.replaceFile(join(target, name), encodeCheckpoint(entries))
  }
  await copyFile(join(directories[0], META_PROPERTIES), join(target, META_PROPERTIES))
}

function refuse(reason: string): void {
  process.stderr.write(`moldau backup: ${reason}\n`)
  process.exitCode = 1
}
