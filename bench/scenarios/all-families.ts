// The suite, in the order in which it runs.

import { consumeFamily } from './consume.ts'
import { latencyFamily } from './latency.ts'
import { linkedin } from './linkedin.ts'
import { produceFamily } from './produce.ts'
import { scaleFamily, startFamily } from './scale.ts'
import type { Family } from './scenario.ts'
import { transactionFamily } from './transactions.ts'

export const FAMILIES: readonly Family[] = [
  startFamily,
  linkedin,
  produceFamily,
  consumeFamily,
  transactionFamily,
  latencyFamily,
  scaleFamily,
]
