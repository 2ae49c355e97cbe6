// What replication tells whoever runs it: facts, for the broker to put into sentences.

interface OfPartition {
  readonly topic: string
  readonly partition: number
}

export type ReplicationEvent =
  | ({ readonly event: 'isr-shrinks'; readonly isr: readonly number[]; readonly without: readonly number[] } & OfPartition)
  | ({ readonly event: 'isr-grows'; readonly isr: readonly number[]; readonly by: number } & OfPartition)
  /** The controller refuses, or cannot be asked. Asked again. */
  | ({ readonly event: 'isr-change-failed'; readonly error: Error } & OfPartition)
  /** The follower cut off what its leader does not have. */
  | ({ readonly event: 'log-truncated'; readonly from: bigint; readonly to: bigint } & OfPartition)
  /** So much was committed: an unclean election, or a mistake of ours. */
  | ({ readonly event: 'committed-records-lost'; readonly from: bigint; readonly to: bigint } & OfPartition)
  /** The follower had less than its leader still keeps, and begins anew there. */
  | ({ readonly event: 'log-restarted'; readonly at: bigint } & OfPartition)
  /** Told to lead in an epoch that has been, by this replica's own log: the metadata went back in time. It does not lead. */
  | ({ readonly event: 'leadership-refused'; readonly leaderEpoch: number; readonly latestEpoch: number } & OfPartition)
  /** Damaged bytes; another replica has them all. */
  | ({ readonly event: 'replica-fetched-anew'; readonly error: Error } & OfPartition)
  | ({ readonly event: 'replica-failed'; readonly error: Error } & OfPartition)
  /** A partition could not be fetched. Tried again. */
  | ({ readonly event: 'fetch-failed'; readonly leader: number; readonly error: Error } & OfPartition)
  /** Nothing can be fetched from a broker. Told once, until it is well again. */
  | { readonly event: 'leader-unreachable'; readonly leader: number; readonly error: Error }
  | { readonly event: 'leader-reachable'; readonly leader: number }

export type ReplicationReport = (event: ReplicationEvent) => void
