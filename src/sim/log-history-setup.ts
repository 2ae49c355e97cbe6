// What a history of logs is about: how many of them, how they are kept, and what happens how often. Each seed has some of
// everything, so that each is about something.

import type { Periods } from '../log/housekeeping.ts'
import { defaultLogConfig, type FlushPolicy, type LogConfig, UNLIMITED } from '../log/log-config.ts'
import type { LogLimits } from '../log/log-manager.ts'
import type { LogTuning } from '../log/log-tuning.ts'
import type { Dice } from './simulation.ts'

/** How often, where a history has it at all. */
const STEPS = {
  append: 20,
  roll: 2,
  flush: 2,
  read: 3,
  pass: 2,
  checkpoint: 2,
  retention: 2,
  compact: 4,
  expire: 1,
  configure: 1,
  scrub: 1,
  'delete records': 2,
  truncate: 2,
  reset: 1,
  epoch: 2,
  create: 2,
  delete: 2,
  audit: 1,
  fault: 1,
  fill: 1,
  heal: 2,
  restart: 3,
} as const

export type StepName = keyof typeof STEPS | 'cut a swap'

/** Of a history that is about compaction, besides: what is cut short in the midst of it is what is hard. */
const COMPACTION_STEPS: readonly StepName[] = [
  ...Array<StepName>(12).fill('compact'),
  ...Array<StepName>(6).fill('roll'),
  ...Array<StepName>(6).fill('cut a swap'),
]

const ALWAYS: readonly StepName[] = ['append', 'create', 'restart', 'heal']

/** Longer than any clock jumps. */
const TEN_YEARS_MS = 315_360_000_000

export interface TopicSetup {
  readonly partitions: number
  readonly config: LogConfig
  /** Something but DeleteRecords moves the start of its logs, or has. */
  readonly retains: boolean
  /** They are compacted, or were. */
  readonly compacts: boolean
  /** Records without a value go, or went, soon. */
  readonly tombstonesGo: boolean
}

export interface Setup {
  readonly directories: readonly string[]
  /** What their logs are created with, or come up with. Changes at run time. */
  readonly topics: Map<string, TopicSetup>
  readonly limits: Partial<LogLimits>
  readonly periods: Partial<Periods> | undefined
  readonly slowDisk: boolean
  readonly faults: boolean
  readonly flips: boolean
  readonly transactions: boolean
  /** Some of what is written comes from a leader, at offsets of its own. */
  readonly copies: boolean
  /** What is on the disk is not committed at once: followers take their time. */
  readonly lags: boolean
  readonly tuning: Partial<LogTuning>
  readonly steps: number
  /** As often as they are to happen. */
  readonly choices: readonly StepName[]
}

export function drawSetup(dice: Dice): Setup {
  const directories = dice.chance(0.3) ? ['/d0', '/d1'] : ['/d0']
  const compaction = dice.chance(0.25)
  const draw = () => (compaction ? compacted(drawTopic(dice)) : drawTopic(dice))
  const topics = new Map(['a', 'b'].slice(0, 1 + dice.below(2)).map((name) => [name, draw()]))
  const faults = dice.chance(0.3)
  const choices: StepName[] = compaction ? [...COMPACTION_STEPS] : []
  for (const [name, weight] of Object.entries(STEPS) as [StepName, number][]) {
    if (name === 'fault' ? !faults : !ALWAYS.includes(name) && dice.chance(0.5)) continue
    for (let i = 0; i < weight; i++) choices.push(name)
  }
  return {
    directories,
    topics,
    limits: { cacheBytes: dice.below(3) * 3000, openFiles: 2 + dice.below(10), recoveryMarkBytes: 400 },
    periods: dice.chance(0.3)
      ? { retentionCheckMs: 400, checkpointMs: 250, compactionCheckMs: 150, producerExpirationCheckMs: 10_000_000 }
      : undefined,
    slowDisk: dice.chance(0.3),
    faults,
    flips: dice.chance(0.25),
    transactions: dice.chance(0.4),
    copies: dice.chance(0.25),
    tuning: dice.chance(0.3) ? { producerIdExpirationMs: dice.below(500) } : {},
    steps: dice.between(8, 32),
    choices,
    lags: dice.chance(0.3),
  }
}

function drawTopic(dice: Dice): TopicSetup {
  const flushPolicy = dice.pick<FlushPolicy>(['group', 'group', 'os', 'interval'])
  const retains = dice.chance(0.3)
  const compacts = dice.chance(0.4)
  const config: LogConfig = {
    ...defaultLogConfig,
    compacts,
    deletes: !compacts || retains,
    minCleanableDirtyRatio: dice.pick([0, 0, 0.5]),
    deleteRetentionMs: dice.chance(0.5) ? dice.below(300) : TEN_YEARS_MS,
    minCompactionLagMs: dice.chance(0.2) ? dice.below(1000) : 0,
    maxCompactionLagMs: dice.chance(0.2) ? dice.below(1000) : UNLIMITED,
    flushPolicy,
    segmentBytes: 1000 + dice.below(5000),
    segmentMs: dice.chance(0.2) ? 1000 : UNLIMITED,
    indexIntervalBytes: dice.below(1000),
    segmentIndexBytes: dice.chance(0.2) ? 64 : 10_000,
    fileDeleteDelayMs: dice.below(2) * 100,
    retentionMs: retains && dice.chance(0.5) ? dice.below(5000) : -1,
    retentionBytes: retains ? dice.below(15_000) : -1,
    flushMessages: dice.chance(0.2) ? 1 + dice.below(20) : UNLIMITED,
    messageTimestampType: dice.chance(0.2) ? 'LogAppendTime' : 'CreateTime',
  }
  return { partitions: 1 + dice.below(2), config, retains, compacts, tombstonesGo: config.deleteRetentionMs < TEN_YEARS_MS }
}

/** As it is when it is to be compacted whenever it is looked at. */
function compacted(topic: TopicSetup): TopicSetup {
  const { config, retains } = topic
  const compacts = { compacts: true, deletes: retains, minCleanableDirtyRatio: 0, minCompactionLagMs: 0, segmentBytes: 1000 }
  return { ...topic, config: { ...config, ...compacts }, compacts: true }
}

/** The topic with another configuration. */
export function redrawTopic(before: TopicSetup, dice: Dice): TopicSetup {
  const drawn = drawTopic(dice)
  return {
    partitions: before.partitions,
    config: drawn.config,
    retains: before.retains || drawn.retains,
    compacts: before.compacts || drawn.compacts,
    tombstonesGo: before.tombstonesGo || drawn.tombstonesGo,
  }
}
