// A failure of the disk: what it means, and what a client is told of it.

import { DiskError } from '../host/disk.ts'
import { KafkaError } from '../protocol/error-codes.ts'

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT'])

/** Of a disk that has refused something, but lost nothing: there may be room again. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof DiskError && NO_ROOM.has(error.code)
}

/** Rejects with KafkaError KAFKA_STORAGE_ERROR where `work` rejects with DiskError. */
export async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    throw new KafkaError('KAFKA_STORAGE_ERROR', error.message, { cause: error })
  }
}
