// WriteTxnMarkers, as far as it reaches `__consumer_offsets`: the marker goes into the log behind all that was committed before, and
// decides there over what the producer has pending in this partition, of whatever groups.

import { ErrorCode } from '../../protocol/error-codes.ts'
import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'
import type { TransactionEnd } from './producers.ts'

/** Answers an error code. */
export function completeTransaction(groups: Groups, end: TransactionEnd): GroupOutcome<number> {
  const out = new GroupOutcome<number>()
  const refusal = groups.producers.checkEnd(end)
  if (refusal === 'done') return out.reply(ErrorCode.NONE)
  if (refusal !== ErrorCode.NONE) return out.reply(refusal)
  const { producerId, producerEpoch, coordinatorEpoch, result } = end
  // Also where nothing is pending (any more): the log waits for it.
  out.marker = { producerId, producerEpoch, coordinatorEpoch, result }
  return out.reply(ErrorCode.NONE)
}
