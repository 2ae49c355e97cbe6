// A failure of the disk as what a client is told of it.

import { DiskError } from '../host/disk.ts'
import { KafkaError } from '../protocol/error-codes.ts'

/** Rejects with KafkaError KAFKA_STORAGE_ERROR where `work` rejects with DiskError. */
export async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    throw new KafkaError('KAFKA_STORAGE_ERROR', error.message, { cause: error })
  }
}
