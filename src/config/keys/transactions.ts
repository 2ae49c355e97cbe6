// The broker's keys about transactions.

import { boolean, int, short } from '../definition.ts'

export const TRANSACTION_KEYS = {
  'add.partitions.to.txn.retry.backoff.max.ms': int(
    100,
    'How long a first write waits for the last transaction of its producer to be ended.',
    { min: 0 },
  ),
  'add.partitions.to.txn.retry.backoff.ms': int(20, 'How often it looks whether that has ended.', { min: 1 }),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int(10_000, 'How often abandoned transactions are looked for.', {
    min: 1,
  }),
  'transaction.max.timeout.ms': int(900_000, 'Longest timeout that a transactional producer may ask for.', {
    min: 1,
  }),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int(
    3_600_000,
    'How often expired transactional ids are looked for.',
    { min: 1 },
  ),
  'transaction.state.log.load.buffer.size': int(5_242_880, 'Bytes read at once when a coordinator loads.', {
    min: 1,
    honoured: 'accepted',
  }),
  'transaction.state.log.min.isr': int(2, 'min.insync.replicas of __transaction_state, at most its replication factor.', {
    min: 1,
  }),
  'transaction.state.log.num.partitions': int(50, 'Partitions of __transaction_state.', { min: 1 }),
  'transaction.state.log.replication.factor': short(3, 'Replicas of __transaction_state, at most one on each live broker.', {
    min: 1,
  }),
  'transaction.state.log.segment.bytes': int(104_857_600, 'segment.bytes of __transaction_state.', { min: 1 }),
  'transaction.two.phase.commit.enable': boolean(false, 'Let transactions take part in two-phase commit.', {
    honoured: { refused: 'two-phase commit is not there yet' },
  }),
  'transactional.id.expiration.ms': int(604_800_000, 'How long an unused transactional id is remembered.', {
    min: 1,
  }),
} as const
