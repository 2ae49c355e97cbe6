// A record as the rest of the code holds it: what comes out of a batch, and what goes into one.

export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

export interface KafkaRecord {
  readonly offset: bigint
  /** Milliseconds since 1970, -1 for none. */
  readonly timestamp: bigint
  readonly key: Buffer | null
  /** Null is a tombstone in a compacted topic. */
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

/** A record that has no offset yet. */
export interface RecordInput {
  readonly timestamp: bigint
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly RecordHeader[]
}

export const NO_TIMESTAMP = -1n
export const NO_HEADERS: readonly RecordHeader[] = []
