// TxnOffsetCommit: how far a group has read, stored as part of a producer's transaction. It counts once that is committed, so that what
// was read and what was made of it become visible as one.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { Producer } from '../runtime/ports.ts'
import type { ClassicGroup } from './classic-group.ts'
import { type CommitRequest, type CommitResponse, refusedCommit, writeOffsets } from './commit-offsets.ts'
import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'
import type { TransactionGuard } from './producers.ts'

/** A decoded TxnOffsetCommit is one of these. */
export interface TransactionalCommitRequest extends Producer {
  readonly transactionalId: string
  readonly groupId: string
  /** Up to version 2: -1, '' and null. */
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly topics: CommitRequest['topics']
}

/** Answers null if the guard was overtaken: the transaction must be asked for again. */
export function commitTransactionalOffsets(
  groups: Groups,
  request: TransactionalCommitRequest,
  guard: TransactionGuard,
  now: number,
): GroupOutcome<CommitResponse | null> {
  const out = new GroupOutcome<CommitResponse | null>()
  const { groupId, producerId, producerEpoch, topics } = request
  const refusal = groups.producers.checkWrite(request) || refuse(groups.get(groupId), request)
  if (refusal !== ErrorCode.NONE) return out.reply(refusedCommit(request, refusal))
  if (groups.producers.isOvertaken(guard, request)) return out.reply(null)
  out.producer = { producerId, producerEpoch }
  return out.reply(writeOffsets(out, groups, groupId, topics, null, now))
}

/**
 * As for OffsetCommit, but for producers that say nothing of a member, as those of old do: they may commit for whom they like. Nor does
 * it matter that the group rebalances: the generation is that of the member, or it is not.
 */
function refuse(group: ClassicGroup | undefined, request: TransactionalCommitRequest): number {
  const { generationId, memberId, groupInstanceId } = request
  if (generationId < 0 && (group === undefined || group.state === 'Empty')) return ErrorCode.NONE
  if (group === undefined) return ErrorCode.ILLEGAL_GENERATION
  if (generationId < 0 && memberId === '' && groupInstanceId === null) return ErrorCode.NONE
  const member = group.identify(memberId, groupInstanceId)
  if (typeof member === 'number') return member
  return generationId === group.generationId ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
}
