// `moldau backup`: a copy of all data as it is at one moment, taken by the broker itself if it runs, or of the files if it does not.

import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { realClock } from '../host/clock.ts'
import { realDisk } from '../host/real-disk.ts'
import { LOCK_FILE } from '../log/file-names.ts'
import { BackupError, dataFiles, isEmptyOrAbsent, sealBackup } from './backup-files.ts'
import { askBroker } from './control-socket.ts'

const HELP = `Copies all data, as it is at one moment, into a new directory. The broker may run, and goes on serving.

  moldau backup /backups/monday
  moldau backup /backups/monday --data-dir /var/lib/moldau

  --data-dir DIR     where the data lies, the first one of log.dirs           (./data)

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
  const data = resolve(values['data-dir'])
  try {
    if (!(await isEmptyOrAbsent(target))) throw new BackupError(`${target} is not empty`)
    const answer = await askBroker(data, { command: 'backup', directory: target })
    if (answer === undefined) await copyStopped(data, target)
    else if (!answer.ok) throw new BackupError(answer.error)
    const files = await sealBackup(target, realClock.wallMs())
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    process.stdout.write(`${files.length} files, ${bytes} bytes in ${target}\n`)
  } catch (error) {
    refuse((error as Error).message)
  }
}

/** Of a broker that does not run: what its files hold, cleanly shut down or not. */
async function copyStopped(data: string, target: string): Promise<void> {
  if (!(await realDisk.exists(join(data, 'meta.properties')))) throw new BackupError(`${data} is no data directory`)
  const lock = await realDisk.lock(join(data, LOCK_FILE))
  if (lock === undefined) throw new BackupError(`a broker uses ${data}, but does not answer: is its version older?`)
  try {
    for (const file of await dataFiles(data)) {
      await mkdir(join(target, dirname(file)), { recursive: true })
      await copyFile(join(data, file), join(target, file))
    }
  } finally {
    await lock.release()
  }
}

function refuse(reason: string): void {
  process.stderr.write(`moldau backup: ${reason}\n`)
  process.exitCode = 1
}
