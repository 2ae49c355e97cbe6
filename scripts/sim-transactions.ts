// `npm run sim:transactions -- --seed N | --seeds A..B`: histories of transactions, of their coordinator, producers and partitions.

import { HistoryFailure } from '../src/sim/history-failure.ts'
import { runTransactionHistory } from '../src/sim/transaction-histories.ts'
import { runSeeds } from './sim-seeds.ts'

const LAST_EVENTS = 80

await runSeeds({
  command: 'sim:transactions',
  run: runTransactionHistory,
  unhandled: (seed, error) => new HistoryFailure('sim:transactions', seed, error, []),
  shown: (trace, events = LAST_EVENTS) => trace.slice(-events),
})
