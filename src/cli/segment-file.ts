// Reads batches from a segment file, one at a time, wherever it may be cut off or damaged.

import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { BATCH_HEADER_SIZE, BATCH_PREFIX_SIZE, batchSize, lastOffset, maxTimestamp } from '../protocol/records/batch-header.ts'
import { checkCounts, checkFrame } from '../protocol/records/record-batch.ts'

/** A length beyond this is damage, not a batch: brokers take 1 MiB by default, and 100 MiB in one request. */
const MAX_BATCH_BYTES = 256 * 1024 * 1024

export interface BatchPlace {
  readonly position: number
  readonly size: number
  readonly lastOffset: bigint
  readonly maxTimestamp: bigint
}

export class SegmentFile implements AsyncDisposable {
  readonly size: number
  private readonly file: FileHandle
  private readonly header = Buffer.alloc(BATCH_HEADER_SIZE)

  /** Rejects with the operating system's error. */
  static async open(path: string): Promise<SegmentFile> {
    const file = await open(path, 'r')
    try {
      return new SegmentFile(file, (await file.stat()).size)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  private constructor(file: FileHandle, size: number) {
    this.file = file
    this.size = size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close()
  }

  /** Undefined where no whole batch of the present format begins. Reads its header only. */
  async batchAt(position: number): Promise<BatchPlace | undefined> {
    const left = this.size - position
    if (left < BATCH_HEADER_SIZE) return undefined
    const { bytesRead } = await this.file.read(this.header, 0, BATCH_HEADER_SIZE, position)
    if (bytesRead < BATCH_HEADER_SIZE) return undefined
    const size = batchSize(this.header)
    // The frame is checked as if the records were there: they are, as the file's size tells.
    if (size < BATCH_PREFIX_SIZE || size > Math.min(left, MAX_BATCH_BYTES)) return undefined
    const framed = checkFrame(this.header, 0, BATCH_HEADER_SIZE)
    if (framed !== undefined && framed.kind !== 'incomplete') return undefined
    return { position, size, lastOffset: lastOffset(this.header), maxTimestamp: maxTimestamp(this.header) }
  }

  /** The whole batch, its bytes not believed beyond their frame. */
  async read(batch: BatchPlace): Promise<Buffer | undefined> {
    const bytes = Buffer.allocUnsafe(batch.size)
    const { bytesRead } = await this.file.read(bytes, 0, batch.size, batch.position)
    return bytesRead < batch.size || checkCounts(bytes) !== undefined ? undefined : bytes
  }
}

/** Segments, and the files beside them, are named for their first offset. */
export function baseOffsetOf(path: string): bigint {
  const [digits] = /^\d+/.exec(basename(path)) ?? []
  if (digits === undefined) throw new Error(`${basename(path)}: the name of a segment's file begins with its first offset`)
  return BigInt(digits)
}
