// Which replica a consumer had better read from (KIP-392): one in its own rack, if it has what the consumer wants next.

import type { Follower, LeaderState } from './leader-state.ts'

/** The name of Kafka's selector, by which this is asked for (replica.selector.class). Without it everybody reads from the leader. */
export const RACK_AWARE_SELECTOR = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

export interface ReadWish {
  readonly rack: string
  readonly fetchOffset: bigint
  readonly leaderId: number
}

/** Undefined: the leader. `rackOf` is undefined of brokers that are not alive, null where they tell no rack. */
export function preferredReplica(
  leader: LeaderState,
  { rack, fetchOffset, leaderId }: ReadWish,
  rackOf: (brokerId: number) => string | null | undefined,
): number | undefined {
  if (rack === '' || rackOf(leaderId) === rack) return undefined
  let best: Follower | undefined
  for (const id of leader.isr) {
    const follower = leader.follower(id)
    if (follower === undefined || rackOf(id) !== rack) continue
    if (follower.endOffset < fetchOffset || follower.logStartOffset > fetchOffset) continue
    if (best === undefined || isBetter(follower, best)) best = follower
  }
  return best?.replicaId
}

/** The one that has more, then the one that keeps pace better. */
function isBetter(follower: Follower, than: Follower): boolean {
  if (follower.endOffset !== than.endOffset) return follower.endOffset > than.endOffset
  if (follower.lastCaughtUpMs !== than.lastCaughtUpMs) return follower.lastCaughtUpMs > than.lastCaughtUpMs
  return follower.replicaId < than.replicaId
}
