import { testHistories } from './log-history-seeds.ts'

testHistories(1)
