// Reads `__cluster_metadata-0` of an Apache Kafka: its newest snapshot, and what the log has since.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DecodeError } from '../bytes/reader.ts'
import { KraftImage } from '../cluster/kraft-image.ts'
import { decodeMetadataRecord } from '../protocol/internal-records/cluster-metadata.ts'
import { baseOffset, isControl } from '../protocol/records/batch-header.ts'
import { checkCrc } from '../protocol/records/record-batch.ts'
import { RecordCursor } from '../protocol/records/record-cursor.ts'
import { SegmentFile } from './segment-file.ts'

const SNAPSHOT = /^(\d{20})-(\d{10})\.checkpoint$/
const SEGMENT = /^\d{20}\.log$/

/** The metadata cannot be had from these files. */
export class KraftMetadataError extends Error {
  override readonly name = 'KraftMetadataError'
}

export interface KraftMetadata {
  readonly image: KraftImage
  /** Behind the last record that was read. */
  readonly endOffset: bigint
}

/**
 * Up to the end of the log, or to the first torn batch: a process that was killed leaves one. Rejects with KraftMetadataError where the
 * log does not go on from the snapshot, or holds records that we do not know.
 */
export async function readKraftMetadata(directory: string): Promise<KraftMetadata> {
  const names = (await readdir(directory)).sort()
  const image = new KraftImage()
  let endOffset = 0n
  const snapshot = names.findLast((name) => SNAPSHOT.test(name))
  if (snapshot !== undefined) {
    const path = join(directory, snapshot)
    // It has got its name when it was complete.
    if ((await replay(path, image, 0n)).torn) throw new KraftMetadataError(`${path} is damaged`)
    endOffset = BigInt(SNAPSHOT.exec(snapshot)![1])
  }
  const segments = names.filter((name) => SEGMENT.test(name))
  for (const [i, name] of segments.entries()) {
    const next = segments[i + 1]
    if (next !== undefined && BigInt(next.slice(0, 20)) <= endOffset) continue
    const path = join(directory, name)
    if (BigInt(name.slice(0, 20)) > endOffset)
      throw new KraftMetadataError(`${path} begins behind offset ${endOffset}: some is missing`)
    const read = await replay(path, image, endOffset)
    endOffset = read.endOffset ?? endOffset
    if (read.torn && next !== undefined) throw new KraftMetadataError(`${path} is damaged`)
  }
  return { image, endOffset }
}

interface Replayed {
  /** Undefined: there was nothing. */
  readonly endOffset: bigint | undefined
  /** Something that is no batch follows. */
  readonly torn: boolean
}

async function replay(path: string, image: KraftImage, from: bigint): Promise<Replayed> {
  await using file = await SegmentFile.open(path)
  let endOffset: bigint | undefined
  let position = 0
  for (;;) {
    const place = await file.batchAt(position)
    const batch = place && (await file.read(place))
    if (place === undefined || batch === undefined || checkCrc(batch) !== undefined)
      return { endOffset, torn: position < file.size }
    position += place.size
    if (place.lastOffset < from) continue
    if (baseOffset(batch) < from) throw new KraftMetadataError(`${path}: offset ${from} lies within a batch`)
    if (!isControl(batch)) applyBatch(path, batch, image)
    endOffset = place.lastOffset + 1n
  }
}

function applyBatch(path: string, batch: Buffer, image: KraftImage): void {
  const cursor = new RecordCursor(batch)
  try {
    while (cursor.next()) {
      const { value, offset } = cursor
      const record = value === null ? undefined : decodeMetadataRecord(value)
      if (record === undefined)
        throw new KraftMetadataError(`${path}: the record at offset ${offset} is of a Kafka newer than we know`)
      image.apply(record)
    }
  } catch (error) {
    if (error instanceof DecodeError) throw new KraftMetadataError(`${path}: ${error.message}`, { cause: error })
    throw error
  }
}
