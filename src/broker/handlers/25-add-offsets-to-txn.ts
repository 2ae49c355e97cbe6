import { GROUP_OFFSETS_TOPIC } from '../../cluster/internal-topics.ts'
import { AddOffsetsToTxn } from '../../protocol/messages/25-add-offsets-to-txn.ts'
import { handler } from './handler.ts'

/** A group's offsets join a transaction: its marker goes to the partition that keeps them, too. */
export const addOffsetsToTxn = handler(AddOffsetsToTxn, {
  async handle(request, services, call) {
    const offsets = { topic: GROUP_OFFSETS_TOPIC, partition: services.groups.partitionFor(request.groupId) }
    return { errorCode: await services.transactions.addOffsetsToTxn(request, offsets, call) }
  },

  fail: (_request, { errorCode }) => ({ errorCode }),
})
