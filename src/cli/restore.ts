// `moldau restore`: puts a backup into a data directory of its own, and checks every byte on the way.

import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { realDisk } from '../host/real-disk.ts'
import { BackupError, checksumOf, isEmptyOrAbsent, readBackup } from './backup-files.ts'

const HELP = `Puts what "moldau backup" has copied into a new data directory.

  moldau restore /backups/monday --data-dir /var/lib/moldau

  --data-dir DIR     must be empty, or not exist yet                          (./data)
`

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    options: { 'data-dir': { type: 'string', default: './data' }, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  })
  if (values.help) return void process.stdout.write(HELP)
  if (positionals.length !== 1) return refuse('say which backup: moldau restore DIR')
  try {
    await restore(resolve(positionals[0]), resolve(values['data-dir']))
  } catch (error) {
    refuse((error as Error).message)
  }
}

async function restore(backup: string, data: string): Promise<void> {
  const files = await readBackup(backup)
  if (!(await isEmptyOrAbsent(data))) throw new BackupError(`${data} is not empty`)
  const directories = new Set<string>()
  // What says whose the data is comes last: without it a restore that was cut short is found out.
  const ordered = [...files].sort((a, b) => Number(a.path === 'meta.properties') - Number(b.path === 'meta.properties'))
  for (const { path, size, crc32c } of ordered) {
    const to = join(data, path)
    if (!directories.has(dirname(to))) {
      await mkdir(dirname(to), { recursive: true })
      directories.add(dirname(to))
    }
    await copyFile(join(backup, path), to)
    const copied = await checksumOf(to)
    if (copied.size !== size || copied.crc32c !== crc32c) {
      throw new BackupError(`${join(backup, path)} is damaged; ${data} must not be used`)
    }
    await sync(to)
  }
  for (const directory of directories) await realDisk.syncDirectory(directory)
  process.stdout.write(`${files.length} files restored into ${data}\n`)
}

async function sync(path: string): Promise<void> {
  const file = await realDisk.open(path, 'write')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

function refuse(reason: string): void {
  process.stderr.write(`moldau restore: ${reason}\n`)
  process.exitCode = 1
}
