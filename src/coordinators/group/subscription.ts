// The topics that a consumer reads, out of the metadata that it sends to its group. For brokers this is opaque but for two things:
// offsets of topics that a group reads neither expire nor may be deleted.

import { Reader } from '../../bytes/reader.ts'
import { ConsumerProtocolSubscription } from '../../protocol/consumer-protocol.ts'

/** Read as version 0, which all versions begin with. Throws DecodeError. */
export function subscribedTopics(metadata: Buffer): string[] {
  const reader = new Reader(metadata)
  reader.int16()
  return ConsumerProtocolSubscription.decode(reader, 0).topics
}
