// One partition of an internal topic as a coordinator's log: records in as one batch each, records out to be replayed.

import type { Partition } from '../cluster/replication/partition.ts'
import type { CoordinatorLog, LogRecord } from '../coordinators/runtime/ports.ts'
import type { Clock } from '../host/clock.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { isControl, lastOffset } from '../protocol/records/batch-header.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'

/** Read at a time while loading: offsets.load.buffer.size of Kafka. */
const LOAD_BYTES = 5 * 1024 * 1024

export class PartitionCoordinatorLog implements CoordinatorLog {
  private readonly partition: Partition
  private readonly clock: Clock
  private readonly timeoutMs: number

  /** `timeoutMs`: how long an append may take. */
  constructor(partition: Partition, clock: Clock, timeoutMs: number) {
    this.partition = partition
    this.clock = clock
    this.timeoutMs = timeoutMs
  }

  async append(records: readonly LogRecord[]): Promise<void> {
    const timestamp = BigInt(this.clock.wallMs())
    const builder = new RecordBatchBuilder()
    for (const { key, value } of records) builder.append({ timestamp, key, value })
    const { lastOffset } = this.partition.append(builder.build(), { origin: 'coordinator' })
    await this.partition.awaitAcks(-1, lastOffset + 1n, this.clock.monotonicMs() + this.timeoutMs)
  }

  async load(replay: (key: Buffer, value: Buffer | null, offset: bigint, timestamp: bigint) => void): Promise<void> {
    const { log } = this.partition
    const end = log.endOffset
    let next = log.logStartOffset
    while (next < end) {
      const { chunks } = await log.read(next, { maxBytes: LOAD_BYTES, limitOffset: end, atLeastOneBatch: true })
      // Compaction may have left nothing up to the end.
      if (chunks.length === 0) break
      for (const chunk of chunks) {
        for (const at of eachBatch(chunk)) {
          if (!isControl(chunk, at)) {
            for (const { key, value, offset, timestamp } of decodeRecords(chunk, at)) {
              if (key !== null && offset >= next) replay(key, value, offset, timestamp)
            }
          }
          next = lastOffset(chunk, at) + 1n
        }
      }
    }
    await this.partition.awaitAcks(-1, end, this.clock.monotonicMs() + this.timeoutMs)
  }
}
