// What is done to the files of several segments, in steps of which a power cut may keep some: recovery must find one state or another,
// never a mixture.

import { SWAP_SUFFIX } from './file-names.ts'
import type { LogEnvironment } from './log-types.ts'
import type { Segment } from './segment.ts'

type Storage = Pick<LogEnvironment, 'disk' | 'removal'>

/** Deletes the first segments of the log in `directory`: out of sight when this resolves, off the disk `delayMs` later. */
export async function deleteFirst(
  storage: Storage,
  directory: string,
  segments: readonly Segment[],
  delayMs: number,
): Promise<void> {
  for (const segment of segments) {
    // One after the other, durably: a power cut must leave no hole. Needs no room, for this is how there comes to be some.
    await segment.markDeleted({ afterLog: () => storage.disk.syncDirectory(directory) })
    storage.removal.add(segment.path('.log'), delayMs, () => segment.removeFiles())
  }
}

/** Puts a segment in the place of those that it was made from, whose indexes and data are durable. */
export async function putInPlace(
  storage: Storage,
  directory: string,
  { replaced, cleaned }: { replaced: readonly Segment[]; cleaned: Segment },
  delayMs: number,
): Promise<void> {
  const settle = () => storage.disk.syncDirectory(directory)
  await cleaned.changeSuffix(SWAP_SUFFIX)
  await settle()
  for (const segment of replaced) {
    // What the producers were where the new segment begins is still needed.
    await segment.markDeleted({ except: segment.baseOffset === cleaned.baseOffset ? ['.snapshot'] : [] })
    storage.removal.add(segment.path('.log'), delayMs, () => segment.removeFiles())
  }
  // A power cut that brings one of them back must find the new one still waiting.
  await settle()
  await cleaned.changeSuffix('', { beforeLog: settle })
  await settle()
}
