// Which segments of a log have had their time: whole ones, oldest first, by age, by size, or because the log starts behind them.

import type { LogConfig } from './log-config.ts'
import type { Segment } from './segment.ts'

interface RetainedLog {
  readonly segments: readonly Segment[]
  readonly config: LogConfig
  readonly logStartOffset: bigint
  readonly endOffset: bigint
}

export type DeletionReason = 'time' | 'size' | 'start'

/** How many segments, from the first on, go, and the reason of the last of them. All: the active one, which has records, too. */
export async function deletableSegments(
  log: RetainedLog,
  nowMs: number,
  limitOffset: bigint,
): Promise<{ count: number; reason: DeletionReason }> {
  const { segments, config } = log
  let size = segments.reduce((sum, segment) => sum + segment.size, 0)
  let count = 0
  let reason: DeletionReason = 'start'
  for (const [i, segment] of segments.entries()) {
    const end = segments[i + 1]?.baseOffset ?? log.endOffset
    if (end > limitOffset || (i === segments.length - 1 && segment.size === 0)) break
    const why = await reasonToDelete(log, config, segment, end, size, nowMs)
    if (why === undefined) break
    reason = why
    size -= segment.size
    count = i + 1
  }
  return { count, reason }
}

async function reasonToDelete(
  log: RetainedLog,
  config: LogConfig,
  segment: Segment,
  end: bigint,
  size: number,
  nowMs: number,
): Promise<DeletionReason | undefined> {
  if (end <= log.logStartOffset) return 'start'
  if (!config.deletes) return undefined
  if (config.retentionMs >= 0) {
    const { timestamp } = await segment.newest()
    // Records without a time are as old as this process knows the segment to be.
    const newestMs = timestamp >= 0n ? Number(timestamp) : segment.openedMs
    if (nowMs - newestMs > config.retentionMs) return 'time'
  }
  if (config.retentionBytes >= 0 && size - segment.size >= config.retentionBytes) return 'size'
  return undefined
}
