// librdkafka's own tests of transactions, on one broker.

import { librdkafkaSuite } from '../librdkafka-tests.ts'

export const suite = librdkafkaSuite('default', { 'auto.create.topics.enable': 'true' }, [], {
  cases: /^(0098_consumer_txn|0103_transactions|0129_fetch_aborted_msgs)$/,
  oneReplica: true,
})
