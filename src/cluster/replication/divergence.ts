// Where a follower cuts its log when its leader says that they went apart (KIP-101, KIP-279). Never by the high watermark, which the
// follower may not have heard of yet.

/** An epoch, and where it ends in some log. */
export interface EpochEnd {
  readonly leaderEpoch: number
  readonly endOffset: bigint
}

/**
 * `leader` is the largest epoch that the leader has at or below the one of our last record, with its end there; `own` is the same for that
 * epoch in our log, undefined where we know none. Where the epochs differ the leader knows nothing of ours, and asking again from its
 * end tells more: each step goes down by an epoch, or is the last.
 */
export function cutFor(leader: EpochEnd, own: EpochEnd | undefined, endOffset: bigint): bigint {
  if (own === undefined) return smallest(leader.endOffset, endOffset)
  if (own.leaderEpoch !== leader.leaderEpoch) return smallest(own.endOffset, endOffset)
  return smallest(leader.endOffset, own.endOffset, endOffset)
}

function smallest(...offsets: bigint[]): bigint {
  return offsets.reduce((least, offset) => (offset < least ? offset : least))
}
