// What batches that are in the files say of their producers: state as it was when the log ended somewhere.

import { DecodeError } from '../bytes/reader.ts'
import type { Disk } from '../host/disk.ts'
import { baseOffset, lastOffset } from '../protocol/records/batch-header.ts'
import { headersOf } from './activate-segment.ts'
import { scanBatches } from './batch-scan.ts'
import { parseSegmentFileName, segmentFileName } from './file-names.ts'
import type { FilePool } from './file-pool.ts'
import type { OpenTransactions } from './open-transactions.ts'
import { decodeProducerSnapshot } from './producer-snapshot.ts'
import { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'

/** The headers of all batches with offsets in `from` to `to` (not included), in order. */
export async function visitHeaders(
  pool: FilePool,
  segments: readonly Segment[],
  from: bigint,
  to: bigint | undefined,
  visit: (header: Buffer, at: number) => void,
): Promise<void> {
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1]?.baseOffset
    if (next !== undefined && next <= from) continue
    if (segment.size === 0 || (to !== undefined && segment.baseOffset >= to)) continue
    const start = from > segment.baseOffset ? await segment.positionBelow(from) : 0
    await pool.use(segment.path('.log'), 'read', (file) =>
      scanBatches(file, {
        ...headersOf(segment, start),
        to: segment.writtenSize,
        visit(header, at) {
          if (to !== undefined && baseOffset(header, at) >= to) return false
          if (lastOffset(header, at) >= from) visit(header, at)
          return true
        },
      }),
    )
  }
}

/** Producer state as it was when the log ended at `offset`: the newest usable snapshot, and the batches since. */
export async function loadProducerState(
  storage: { disk: Disk; pool: FilePool; directory: string },
  segments: readonly Segment[],
  offset: bigint,
  nowMs: number,
): Promise<{ producers: ProducerState; snapshotOffset: bigint | undefined }> {
  const { disk, pool, directory } = storage
  const snapshots = (await disk.list(directory))
    .map(({ name }) => parseSegmentFileName(name))
    .filter((parsed) => parsed?.suffix === '.snapshot' && parsed.baseOffset <= offset)
    .map((parsed) => parsed!.baseOffset)
    // Of what came between an older one and the first segment nothing is known any more.
    .filter((candidate) => segments.length === 0 || candidate >= segments[0].baseOffset)
    .sort((a, b) => (a > b ? -1 : 1))
  let producers = new ProducerState()
  let snapshotOffset: bigint | undefined
  for (const candidate of snapshots) {
    const path = `${directory}/${segmentFileName(candidate, '.snapshot')}`
    try {
      producers = decodeProducerSnapshot(await disk.readFile(path), nowMs)
      snapshotOffset = candidate
      break
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      // Not synced when it was written: an older one and more of the log say the same.
      await disk.remove(path)
    }
  }
  const from = snapshotOffset ?? 0n
  if (from < offset) await visitHeaders(pool, segments, from, offset, (header, at) => producers.update(header, at, nowMs))
  return { producers, snapshotOffset }
}

/** With the transactions that end in `from` to `to` (not included): of those a snapshot made behind them does not tell. */
export async function loadEndedTransactions(
  storage: { disk: Disk; pool: FilePool; directory: string },
  segments: readonly Segment[],
  { from, to }: { from: bigint; to: bigint },
  nowMs: number,
): Promise<OpenTransactions> {
  const { producers } = await loadProducerState(storage, segments, from, nowMs)
  await visitHeaders(storage.pool, segments, from, to, (header, at) => producers.update(header, at, nowMs))
  return producers.transactions
}
