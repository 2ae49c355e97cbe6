// The topics that brokers keep their own state in.

/** Where consumer groups and their offsets are kept. */
export const GROUP_OFFSETS_TOPIC = '__consumer_offsets'
/** Where transactions are kept. */
export const TRANSACTION_STATE_TOPIC = '__transaction_state'

const INTERNAL = new Set([GROUP_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC])

/** Whether clients may read the topic but not write it. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL.has(name)
}
