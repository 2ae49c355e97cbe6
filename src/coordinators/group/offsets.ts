// What a group has stored of a partition. All of it is persisted; `replay` in groups.ts is the only one who changes it.

export interface CommittedOffset {
  readonly offset: bigint
  /** -1 if the client did not say. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** Wall time of the commit. */
  readonly commitTimestampMs: number
  /** An expiry of its own, asked for by OffsetCommit up to version 4; null as a rule. */
  readonly expireTimestampMs: number | null
  /** Of the topic that was meant, ZERO_UUID if it was not recorded. */
  readonly topicId: string
}

export interface StoredOffset extends CommittedOffset {
  /** Grows from record to record of the log: of two commits the one that was written later counts, whenever it came to count. */
  readonly order: number
}
