// The list of files that makes a directory a backup: written last, so that a copy which was cut short is none; read first.

import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32c } from '../bytes/crc32c.ts'
import { realDisk } from '../host/real-disk.ts'

export const BACKUP_FILE = 'backup.json'
const FORMAT = 0
/** Of a running broker, or a process that has ended: nobody's data. */
const NOT_DATA = new Set(['.lock', '.control', 'lock'])

export interface BackupFile {
  /** Below the backup, with '/'. */
  readonly path: string
  readonly size: number
  readonly crc32c: number
}

/** A directory is not a backup, or not as it was made. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
}

/** Of all data files below a directory, in order. */
export async function dataFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && !NOT_DATA.has(entry.name) && entry.name !== BACKUP_FILE)
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(directory.length + 1)
        .replaceAll('\\', '/'),
    )
    .sort()
}

/** Reads what has been copied, and says what it is. */
export async function sealBackup(directory: string, createdMs: number): Promise<readonly BackupFile[]> {
  const files: BackupFile[] = []
  for (const path of await dataFiles(directory)) files.push({ path, ...(await checksumOf(join(directory, path))) })
  const contents = { format: FORMAT, created: new Date(createdMs).toISOString(), files }
  await realDisk.replaceFile(join(directory, BACKUP_FILE), Buffer.from(`${JSON.stringify(contents, undefined, 1)}\n`))
  return files
}

export async function checksumOf(path: string): Promise<{ size: number; crc32c: number }> {
  let sum = 0
  let size = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    sum = crc32c(chunk as Buffer, sum)
    size += (chunk as Buffer).length
  }
  return { size, crc32c: sum }
}

/** Throws BackupError. */
export async function readBackup(directory: string): Promise<readonly BackupFile[]> {
  const path = join(directory, BACKUP_FILE)
  const contents = await readFile(path, 'utf8').catch(() => {
    throw new BackupError(`${directory} is no backup, or an unfinished one: there is no ${BACKUP_FILE}`)
  })
  let backup: { format?: unknown; files?: BackupFile[] }
  try {
    backup = JSON.parse(contents)
  } catch {
    throw new BackupError(`${path} is damaged`)
  }
  if (backup.format !== FORMAT || !Array.isArray(backup.files))
    throw new BackupError(`${path} has a format that this version does not read`)
  for (const { path: file } of backup.files) {
    if (typeof file !== 'string' || file.startsWith('/') || file.split('/').includes('..'))
      throw new BackupError(`${path} is damaged`)
  }
  return backup.files
}

export const isEmptyOrAbsent = async (directory: string): Promise<boolean> =>
  (await stat(directory).catch(() => undefined)) === undefined || (await readdir(directory)).length === 0
