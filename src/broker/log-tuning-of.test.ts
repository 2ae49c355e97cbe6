import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerConfig, NO_CONFIGS } from '../config/effective.ts'
import { defaultLogTuning } from '../log/log-tuning.ts'
import { logTuningOf } from './log-tuning-of.ts'

test('how logs are looked after comes from keys that may change while the broker runs', () => {
  const config = new BrokerConfig()
  assert.deepEqual(logTuningOf(config), defaultLogTuning)
  const changed = {
    'producer.id.expiration.ms': '1',
    'log.scrub.interval.ms': '2',
    'log.scrub.max.bytes.per.second': '3',
    'log.cleaner.dedupe.buffer.size': '4',
    'log.cleaner.io.buffer.load.factor': '0.5',
    'log.cleaner.io.max.bytes.per.second': '6',
  }
  assert.deepEqual(logTuningOf(config.withDynamic(new Map(Object.entries(changed)), NO_CONFIGS)), {
    producerIdExpirationMs: 1,
    scrub: { intervalMs: 2, maxBytesPerSecond: 3 },
    cleaner: { mapBytes: 4, loadFactor: 0.5, maxBytesPerSecond: 6 },
  })
  for (const { definition } of config.describe(Object.keys(changed))) assert.equal(definition.dynamic, 'cluster')
})
