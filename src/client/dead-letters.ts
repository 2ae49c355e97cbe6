// A record that could not be processed, as it is written to its dead-letter topic: bytes as they came, and in headers where it was and what
// went wrong, by the names and in the encodings of Spring Kafka's DeadLetterPublishingRecoverer, so that either side reads the other's.

import type { RecordHeader } from '../protocol/records/record.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import type { ProducerRecord } from './producer.ts'
import { DeserializationError } from './serializers.ts'

/** Spring Kafka's names. Numbers are big-endian, of 4 bytes (partition) and 8 (offset, timestamp); all else is UTF-8. */
export const DeadLetterHeader = {
  TOPIC: 'kafka_dlt-original-topic',
  PARTITION: 'kafka_dlt-original-partition',
  OFFSET: 'kafka_dlt-original-offset',
  TIMESTAMP: 'kafka_dlt-original-timestamp',
  TIMESTAMP_TYPE: 'kafka_dlt-original-timestamp-type',
  GROUP: 'kafka_dlt-original-consumer-group',
  EXCEPTION: 'kafka_dlt-exception-fqcn',
  CAUSE: 'kafka_dlt-exception-cause-fqcn',
  MESSAGE: 'kafka_dlt-exception-message',
  STACK: 'kafka_dlt-exception-stacktrace',
} as const

export const DEAD_LETTER_SUFFIX = '.DLT'
/** A stack is for reading: longer ones would make the letter larger than the record. */
const MAX_STACK_CHARACTERS = 8_000

export interface DeadLetter {
  /** Undefined where the header is not there, or not as it should be; as with all below. */
  readonly topic: string | undefined
  readonly partition: number | undefined
  readonly offset: bigint | undefined
  readonly timestamp: bigint | undefined
  readonly groupId: string | undefined
  readonly exception: string | undefined
  readonly message: string | undefined
  readonly stack: string | undefined
}

/** Headers that it has already stay in front: where it came from first can be told. */
export function deadLetterOf(
  record: ConsumerRecord,
  error: unknown,
  groupId: string,
  topic = `${record.topic}${DEAD_LETTER_SUFFIX}`,
): ProducerRecord {
  const told = error instanceof Error ? error : new Error(String(error))
  const cause = told.cause instanceof Error ? told.cause : undefined
  const headers: RecordHeader[] = [
    ...record.headers,
    text(DeadLetterHeader.TOPIC, record.topic),
    int32(DeadLetterHeader.PARTITION, record.partition),
    int64(DeadLetterHeader.OFFSET, record.offset),
    int64(DeadLetterHeader.TIMESTAMP, record.timestamp),
    text(DeadLetterHeader.TIMESTAMP_TYPE, record.timestampType),
    text(DeadLetterHeader.GROUP, groupId),
    text(DeadLetterHeader.EXCEPTION, told.name),
    ...(cause === undefined ? [] : [text(DeadLetterHeader.CAUSE, cause.name)]),
    text(DeadLetterHeader.MESSAGE, told.message),
    text(DeadLetterHeader.STACK, (told.stack ?? '').slice(0, MAX_STACK_CHARACTERS)),
  ]
  return { topic, key: record.key, value: record.value, headers }
}

/** Of any record; of the last failure, if there were several. */
export function readDeadLetter({ headers }: { readonly headers: readonly RecordHeader[] }): DeadLetter {
  const last = (key: string, length?: number) => {
    const value = headers.findLast((header) => header.key === key)?.value ?? undefined
    return length === undefined || value?.length === length ? value : undefined
  }
  return {
    topic: last(DeadLetterHeader.TOPIC)?.toString(),
    partition: last(DeadLetterHeader.PARTITION, 4)?.readInt32BE(),
    offset: last(DeadLetterHeader.OFFSET, 8)?.readBigInt64BE(),
    timestamp: last(DeadLetterHeader.TIMESTAMP, 8)?.readBigInt64BE(),
    groupId: last(DeadLetterHeader.GROUP)?.toString(),
    exception: last(DeadLetterHeader.EXCEPTION)?.toString(),
    message: last(DeadLetterHeader.MESSAGE)?.toString(),
    stack: last(DeadLetterHeader.STACK)?.toString(),
  }
}

/** Trying again cannot help: the bytes stay what they are. */
export function isHopeless(error: unknown): boolean {
  return error instanceof DeserializationError
}

function text(key: string, value: string): RecordHeader {
  return { key, value: Buffer.from(value) }
}

function int32(key: string, value: number): RecordHeader {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return { key, value: bytes }
}

function int64(key: string, value: bigint): RecordHeader {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return { key, value: bytes }
}
