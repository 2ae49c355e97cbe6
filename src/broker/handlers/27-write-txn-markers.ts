import { ErrorCode } from '../../protocol/error-codes.ts'
import { WriteTxnMarkers, type WriteTxnMarkersRequest } from '../../protocol/messages/27-write-txn-markers.ts'
import type { Services } from '../services.ts'
import { writeMarker } from '../transactions.ts'
import { handler } from './handler.ts'

/**
 * Writes the ends of transactions into partitions that this broker leads: asked for by transaction coordinators, and by administrators
 * who abort what hangs. Up to version 1 nobody tells the transaction version, and the older rules hold.
 */
export const writeTxnMarkers = handler(WriteTxnMarkers, {
  async handle(request, services) {
    return { markers: await Promise.all(request.markers.map((marker) => write(marker, services))) }
  },

  fail: (request, { errorCode }) => ({
    markers: request.markers.map(({ producerId, topics }) => ({
      producerId,
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode })),
      })),
    })),
  }),
})

type Marker = WriteTxnMarkersRequest['markers'][number]

async function write({ transactionResult: committed, topics, ...marker }: Marker, services: Services) {
  const report = services.bug
  const parts = { ...services, config: services.config(), report }
  const one = async (topic: string, partitionIndex: number) => ({
    partitionIndex,
    errorCode:
      services.replicas.find(topic, partitionIndex) === undefined
        ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        : await writeMarker(parts, topic, partitionIndex, { ...marker, committed }),
  })
  return {
    producerId: marker.producerId,
    topics: await Promise.all(
      topics.map(async ({ name, partitionIndexes }) => ({
        name,
        partitions: await Promise.all(partitionIndexes.map((partitionIndex) => one(name, partitionIndex))),
      })),
    ),
  }
}
