// Kafka's small text files of facts: a version, a count, and one line per entry.

import type { Disk } from '../host/disk.ts'
import { DiskError } from '../host/disk.ts'

const VERSION = '0'

export function encodeCheckpoint(lines: readonly string[]): Buffer {
  return Buffer.from([VERSION, lines.length, ...lines, ''].join('\n'))
}

/** Each entry's words. Throws Error, naming `path`, where the file is not what it should be. */
export function decodeCheckpoint(path: string, contents: Buffer, words: number): string[][] {
  const [version, count, ...rest] = contents.toString('utf8').split('\n')
  if (version !== VERSION) throw new Error(`${path}: version ${JSON.stringify(version)}, only ${VERSION} is known`)
  const entries = rest.filter((line) => line !== '').map((line) => line.split(/\s+/))
  if (Number(count) !== entries.length) throw new Error(`${path}: ${entries.length} entries where it says ${count}`)
  const bad = entries.find((entry) => entry.length !== words || !entry.slice(words - 2).every((word) => /^-?\d+$/.test(word)))
  if (bad !== undefined) throw new Error(`${path}: malformed line "${bad.join(' ')}"`)
  return entries
}

/** Undefined where there is no such file. */
export async function readIfPresent(disk: Disk, path: string): Promise<Buffer | undefined> {
  try {
    return await disk.readFile(path)
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** An offset per log, keyed by the name of the log's directory. */
export type OffsetMap = Map<string, bigint>

/** Absent, or damaged and reported to `onDamage`: empty. What the offsets bound is then found by looking. Kafka begins with empty files. */
export async function readOffsetCheckpoint(disk: Disk, path: string, onDamage: (error: Error) => void): Promise<OffsetMap> {
  const contents = await readIfPresent(disk, path)
  if (contents === undefined || contents.length === 0) return new Map()
  try {
    const entries = decodeCheckpoint(path, contents, 3)
    return new Map(entries.map(([topic, partition, offset]) => [`${topic}-${partition}`, BigInt(offset)]))
  } catch (error) {
    onDamage(error as Error)
    return new Map()
  }
}

export function encodeOffsetCheckpoint(entries: Iterable<{ topic: string; partition: number; offset: bigint }>): Buffer {
  const lines: string[] = []
  for (const { topic, partition, offset } of entries) lines.push(`${topic} ${partition} ${offset}`)
  return encodeCheckpoint(lines)
}
