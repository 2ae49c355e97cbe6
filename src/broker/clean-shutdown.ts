// What the marks of a clean shutdown say, before the logs are opened: that deletes them.

import type { Disk } from '../host/disk.ts'
import { CLEAN_SHUTDOWN_MARKER } from '../log/file-names.ts'

export interface LastShutdown {
  /** Each log directory has a mark. */
  readonly wasClean: boolean
  /** The epoch in which the broker handed over what it led, the same in all of them; null where they do not say so. */
  readonly brokerEpoch: number | null
}

export async function readCleanShutdown(disk: Disk, directories: readonly string[]): Promise<LastShutdown> {
  const marks = await Promise.all(
    directories.map(async (directory) => {
      const path = `${directory}/${CLEAN_SHUTDOWN_MARKER}`
      return (await disk.exists(path)) ? (await disk.readFile(path)).toString('utf8') : undefined
    }),
  )
  // Kafka's are JSON, too; very old ones are empty.
  const epochs = marks.map((mark) => Number(/"brokerEpoch":\s*(-?\d+)/.exec(mark ?? '')?.[1] ?? -1))
  const one = epochs.every((epoch) => epoch === epochs[0]) ? epochs[0] : -1
  return { wasClean: marks.every((mark) => mark !== undefined), brokerEpoch: one >= 0 ? one : null }
}
