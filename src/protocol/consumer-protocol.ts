// What consumers tell each other through the group coordinator, which keeps it as opaque bytes: what a member subscribes to,
// and what it was assigned. Kafka's clients, and tools that describe groups, agree on this form (protocol type `consumer`).
//
// Versions must stay readable by older readers: a newer one only adds fields behind the known ones.

import { DecodeError, Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import {
  array,
  bytes,
  type Encodable,
  type Fields,
  int32,
  type Message,
  message,
  string,
  type Value,
  type ValueInput,
} from './schema.ts'

/** 1 tells what the member owns (KIP-429); 2 since which generation; 3 the member's rack (KIP-881). */
export const ConsumerProtocolSubscription = message('ConsumerProtocolSubscription', {
  versions: '0-3',
  flexible: 'none',
  fields: {
    topics: array(string()),
    userData: bytes().nullable().default(null),
    ownedPartitions: array({ topic: string(), partitions: array(int32()) }, '1+'),
    generationId: int32('2+').default(-1),
    rackId: string('3+').nullable().default(null),
  },
})
export type Subscription = Value<typeof ConsumerProtocolSubscription>

/** All versions are the same. */
export const ConsumerProtocolAssignment = message('ConsumerProtocolAssignment', {
  versions: '0-3',
  flexible: 'none',
  fields: {
    assignedPartitions: array({ topic: string(), partitions: array(int32()) }),
    userData: bytes().nullable().default(null),
  },
})
export type Assignment = Value<typeof ConsumerProtocolAssignment>

/** With the version in front. */
export function encodeSubscription(value: ValueInput<typeof ConsumerProtocolSubscription>, version = 3): Buffer {
  return encode(ConsumerProtocolSubscription, value, version)
}

/** Reads a version that is not known yet as the newest that is. Throws DecodeError, also for no bytes at all. */
export function decodeSubscription(bytes: Buffer): Subscription {
  return decode(ConsumerProtocolSubscription, bytes)
}

/** With the version in front. */
export function encodeAssignment(value: ValueInput<typeof ConsumerProtocolAssignment>, version = 3): Buffer {
  return encode(ConsumerProtocolAssignment, value, version)
}

/** Reads a version that is not known yet as the newest that is. Throws DecodeError, also for no bytes at all. */
export function decodeAssignment(bytes: Buffer): Assignment {
  return decode(ConsumerProtocolAssignment, bytes)
}

function encode<F extends Fields>(schema: Message<F>, value: Encodable<F>, version: number): Buffer {
  const writer = new Writer()
  writer.int16(version)
  schema.encode(writer, version, value)
  return writer.toBuffer()
}

function decode<F extends Fields>(schema: Message<F>, bytes: Buffer) {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (version < 0) throw new DecodeError(`${schema.name} of version ${version}`)
  return schema.decode(reader, Math.min(version, schema.versions.max))
}
