// What transactions cost: the same producer without them, with them and without them again, on the same broker.

import { BOTH_PROMISES, type Family, type Scenario } from './scenario.ts'

const TRANSACTION_DURATION_MS = 100

const transactions = (size: number, records: number): Scenario => ({
  name: `${size}`,
  title:
    `one producer, ${size === 1024 ? '1 KiB' : `${size} bytes`}, acks=all, a transaction every ${TRANSACTION_DURATION_MS} ms, ` +
    'and the same without (ProducerPerformance)',
  brokers: BOTH_PROMISES,
  load: { kind: 'java-transactions', acks: 'all', size, records, transactionDurationMs: TRANSACTION_DURATION_MS },
})

export const transactionFamily: Family = {
  name: 'transactions',
  title: 'Transactions',
  scenarios: [transactions(100, 1_500_000), transactions(1024, 300_000)],
}
