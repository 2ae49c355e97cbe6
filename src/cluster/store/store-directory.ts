// The embedded store's directory: which of its files count, and what they come to. At most one snapshot and the one log that
// goes on from it; anything else is left over from a snapshot that a crash interrupted.

import type { Disk, DiskFile } from '../../host/disk.ts'
import { type Random, uuid } from '../../host/random.ts'
import { KeySpace } from './key-space.ts'
import { type Entry, type Revision, StoreError } from './metadata-store.ts'
import { type Batch, encodeHeader, HEADER_SIZE, readLog, readSnapshot } from './store-files.ts'

export interface OpenedStore {
  storeId: string
  state: KeySpace
  revision: Revision
  history: Batch[]
  compacted: Revision
  file: DiskFile
  position: number
}

/** Whether a store has been made there. */
export async function isStoreDirectory(disk: Disk, directory: string): Promise<boolean> {
  if (!(await disk.exists(directory))) return false
  return (await disk.list(directory)).some(({ name }) => name === 'snapshot' || name.startsWith('log-'))
}

/** Reads what is there, cuts a torn end off, and makes what is missing. @throws {StoreError} corrupt @throws {DiskError} */
export async function openStoreDirectory(disk: Disk, directory: string, random: Random): Promise<OpenedStore> {
  // Put in order once, at the end.
  const entries = new Map<string, Entry>()
  let storeId: string | undefined
  let base = 0
  const names = new Set((await disk.list(directory)).map((entry) => entry.name))
  if (names.has('snapshot')) {
    const path = `${directory}/snapshot`
    const snapshot = readSnapshot(path, await disk.readFile(path))
    storeId = snapshot.storeId
    base = snapshot.revision
    for (const entry of snapshot.entries) entries.set(entry.key, entry)
  }
  for (const name of names) {
    if (!name.startsWith('log-') || name === logName(base)) continue
    if (name > logName(base))
      throw new StoreError('corrupt', `${directory} has ${name}, but not the snapshot that it goes on from`)
    await disk.remove(`${directory}/${name}`)
  }

  if (!names.has(logName(base))) {
    storeId ??= uuid(random)
    const file = await createLog(disk, directory, storeId, base)
    return { storeId, state: new KeySpace(entries), revision: base, history: [], compacted: base, file, position: HEADER_SIZE }
  }
  const path = `${directory}/${logName(base)}`
  const bytes = await disk.readFile(path)
  const log = readLog(path, bytes)
  if (log.base !== base || (storeId !== undefined && log.storeId !== storeId)) {
    throw new StoreError('corrupt', `${path} and the snapshot beside it are of different stores`)
  }
  for (const { events } of log.batches) {
    for (const event of events) {
      if ('put' in event) entries.set(event.put.key, event.put)
      else entries.delete(event.delete)
    }
  }
  const file = await disk.open(path, 'write')
  if (log.validLength < bytes.length) {
    await file.truncate(log.validLength)
    await file.sync()
  }
  return {
    storeId: log.storeId,
    state: new KeySpace(entries),
    revision: log.batches.at(-1)?.revision ?? base,
    history: [...log.batches],
    compacted: base,
    file,
    position: log.validLength,
  }
}

/** Makes the log that goes on from `base`, durably. */
export async function createLog(disk: Disk, directory: string, storeId: string, base: Revision): Promise<DiskFile> {
  const path = `${directory}/${logName(base)}`
  await disk.replaceFile(path, encodeHeader(storeId, base))
  return disk.open(path, 'write')
}

const logName = (base: Revision) => `log-${String(base).padStart(20, '0')}`
