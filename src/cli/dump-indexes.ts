// The files beside a segment as text, and whether they fit it: offset, time and transaction indexes, producer snapshots.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { DecodeError } from '../bytes/reader.ts'
import { ABORTED_ENTRY_SIZE } from '../log/aborted-index.ts'
import { decodeProducerSnapshot } from '../protocol/internal-records/producer-snapshot.ts'
import type { Printer } from './printer.ts'
import { baseOffsetOf, SegmentFile } from './segment-file.ts'

export interface IndexFlags {
  readonly verifyIndexOnly?: boolean
  readonly indexSanityCheck?: boolean
}

const OFFSET_ENTRY_SIZE = 8
const TIME_ENTRY_SIZE = 12

interface OffsetEntry {
  readonly offset: bigint
  readonly position: number
}

/** Entries up to the zeros that a preallocated file ends with. */
function readOffsetEntries(bytes: Buffer, base: bigint): OffsetEntry[] {
  const entries: OffsetEntry[] = []
  for (let at = 0; at + OFFSET_ENTRY_SIZE <= bytes.length; at += OFFSET_ENTRY_SIZE) {
    const relative = bytes.readUInt32BE(at)
    if (relative === 0 && at > 0) break
    entries.push({ offset: base + BigInt(relative), position: bytes.readUInt32BE(at + 4) })
  }
  return entries
}

function beside(path: string, suffix: string): string {
  return path.replace(/\.[^.]*$/, suffix)
}

/** What a broker checks when it starts: whole entries, and the last not before the first offset. */
function sanityProblem(path: string, bytes: Buffer, entrySize: number): string | undefined {
  return bytes.length % entrySize === 0 ? undefined : `${path}: its size, ${bytes.length}, is no multiple of ${entrySize}`
}

export async function dumpOffsetIndex(path: string, printer: Printer, flags: IndexFlags): Promise<string[]> {
  const bytes = await readFile(path)
  const base = baseOffsetOf(path)
  if (bytes.length === 0) {
    await printer.line(`${path} is empty.`)
    return []
  }
  if (flags.indexSanityCheck) return sanityCheck(path, bytes, OFFSET_ENTRY_SIZE, printer)
  await using segment = await SegmentFile.open(beside(path, '.log'))
  const mismatches: string[] = []
  for (const { offset, position } of readOffsetEntries(bytes, base)) {
    const batch = await segment.batchAt(position)
    if (batch?.lastOffset !== offset) mismatches.push(`  Index offset: ${offset}, log offset: ${batch?.lastOffset ?? 'none'}`)
    if (!flags.verifyIndexOnly) await printer.line(`offset: ${offset} position: ${position}`)
  }
  return mismatches.length === 0 ? [] : [`Mismatches in :${path}`, ...mismatches]
}

async function sanityCheck(path: string, bytes: Buffer, entrySize: number, printer: Printer): Promise<string[]> {
  const problem = sanityProblem(path, bytes, entrySize)
  if (problem !== undefined) throw new Error(problem)
  await printer.line(`${path} passed sanity check.`)
  return []
}

export async function dumpTimeIndex(path: string, printer: Printer, flags: IndexFlags): Promise<string[]> {
  const bytes = await readFile(path)
  const base = baseOffsetOf(path)
  if (flags.indexSanityCheck) return sanityCheck(path, bytes, TIME_ENTRY_SIZE, printer)
  const indexPath = beside(path, '.index')
  const index = existsSync(indexPath) ? readOffsetEntries(await readFile(indexPath), base) : []
  await using segment = await SegmentFile.open(beside(path, '.log'))
  const mismatches: string[] = []
  const disorder: string[] = []
  const missing: string[] = []
  let previous = -1n
  for (let at = 0; at + TIME_ENTRY_SIZE <= bytes.length; at += TIME_ENTRY_SIZE) {
    const timestamp = bytes.readBigInt64BE(at)
    const relative = bytes.readUInt32BE(at + 8)
    if (relative === 0 && at > 0) break
    const offset = base + BigInt(relative)
    const batch = await findBatch(segment, index, offset)
    if (batch?.lastOffset !== offset) {
      missing.push(`Indexed offset: ${offset}, found log offset: ${batch?.lastOffset ?? -1}`)
    } else {
      if (batch.maxTimestamp !== timestamp)
        mismatches.push(`  Index timestamp: ${timestamp}, log timestamp: ${batch.maxTimestamp}`)
      if (previous >= timestamp) disorder.push(`  Index timestamp: ${timestamp}, Previously indexed timestamp: ${previous}`)
    }
    if (!flags.verifyIndexOnly) await printer.line(`timestamp: ${timestamp} offset: ${offset}`)
    previous = timestamp
  }
  return [
    ...(mismatches.length === 0 ? [] : [`Found timestamp mismatch in :${path}`, ...mismatches]),
    ...(disorder.length === 0 ? [] : [`Found out of order timestamp in :${path}`, ...disorder]),
    ...(missing.length === 0 ? [] : [`The following indexed offsets are not found in :${path}`, ...missing]),
  ]
}

/** The first batch that ends at or behind the offset. */
async function findBatch(segment: SegmentFile, index: readonly OffsetEntry[], offset: bigint) {
  let position = index.findLast((entry) => entry.offset <= offset)?.position ?? 0
  for (;;) {
    const batch = await segment.batchAt(position)
    if (batch === undefined || batch.lastOffset >= offset) return batch
    position += batch.size
  }
}

export async function dumpTransactionIndex(path: string, printer: Printer): Promise<string[]> {
  const bytes = await readFile(path)
  const problem = sanityProblem(path, bytes, ABORTED_ENTRY_SIZE)
  for (let at = 0; at + ABORTED_ENTRY_SIZE <= bytes.length; at += ABORTED_ENTRY_SIZE) {
    const [producerId, firstOffset, lastOffset, lastStableOffset] = [2, 10, 18, 26].map((from) => bytes.readBigInt64BE(at + from))
    await printer.line(
      `version: ${bytes.readInt16BE(at)} producerId: ${producerId} firstOffset: ${firstOffset} lastOffset: ${lastOffset} lastStableOffset: ${lastStableOffset}`,
    )
  }
  return problem === undefined ? [] : [problem]
}

export async function dumpProducerSnapshot(path: string, printer: Printer): Promise<string[]> {
  try {
    for (const entry of decodeProducerSnapshot(await readFile(path))) {
      const parts = [
        `producerId: ${entry.producerId}`,
        `producerEpoch: ${entry.epoch}`,
        `coordinatorEpoch: ${entry.coordinatorEpoch}`,
        // As Java prints an OptionalLong.
        `currentTxnFirstOffset: ${entry.currentTxnFirstOffset < 0n ? 'OptionalLong.empty' : `OptionalLong[${entry.currentTxnFirstOffset}]`}`,
        `lastTimestamp: ${entry.timestamp}`,
      ]
      if (entry.lastOffset >= 0n) {
        const first = entry.lastSequence - entry.offsetDelta
        parts.push(
          `firstSequence: ${first < 0 ? first + 2 ** 31 : first}`,
          `lastSequence: ${entry.lastSequence}`,
          `lastOffset: ${entry.lastOffset}`,
          `offsetDelta: ${entry.offsetDelta}`,
          `timestamp: ${entry.timestamp}`,
        )
      }
      await printer.line(parts.join(' '))
    }
    return []
  } catch (error) {
    if (error instanceof DecodeError) return [`${path}: ${error.message}`]
    throw error
  }
}
