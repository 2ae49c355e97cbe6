// The content of a `.snapshot` file: what a partition knew of its producers at the offset that names the file.
// An int16 of version, a CRC-32C of all that follows it, the entries.

import { crc32c } from '../../bytes/crc32c.ts'
import { DecodeError, Reader } from '../../bytes/reader.ts'
import { Writer } from '../../bytes/writer.ts'
import { array, int16, int32, int64, message, uint32, type Value } from '../schema.ts'

const VERSION = 1
/** Version and checksum: what the checksum does not cover. */
const PREFIX_SIZE = 6

export const ProducerSnapshot = message('ProducerSnapshot', {
  versions: '1',
  flexible: 'none',
  fields: {
    crc: uint32(),
    producerEntries: array({
      producerId: int64(),
      epoch: int16(),
      lastSequence: int32(),
      lastOffset: int64(),
      /** Of the last batch: its last sequence less its first. */
      offsetDelta: int32(),
      timestamp: int64(),
      coordinatorEpoch: int32(),
      /** -1 without an open transaction. */
      currentTxnFirstOffset: int64(),
    }),
  },
})
export type ProducerSnapshotEntry = Value<typeof ProducerSnapshot>['producerEntries'][number]

export function encodeProducerSnapshot(producerEntries: readonly ProducerSnapshotEntry[]): Buffer {
  const writer = new Writer(PREFIX_SIZE + 4 + producerEntries.length * 46)
  writer.int16(VERSION)
  ProducerSnapshot.encode(writer, VERSION, { crc: 0, producerEntries })
  const file = writer.toBuffer()
  file.writeUInt32BE(crc32c(file.subarray(PREFIX_SIZE)), 2)
  return file
}

/** Throws DecodeError for a file that is torn, of another version or changed since. */
export function decodeProducerSnapshot(file: Buffer): ProducerSnapshotEntry[] {
  const reader = new Reader(file)
  const version = reader.int16()
  if (version !== VERSION) throw new DecodeError(`producer snapshot of unknown version ${version}`)
  const { crc, producerEntries } = ProducerSnapshot.decode(reader, version)
  if (crc !== crc32c(file.subarray(PREFIX_SIZE))) throw new DecodeError('producer snapshot does not match its checksum')
  return producerEntries
}
