// From a broker's configuration to how all of its logs are looked after.

import type { BrokerConfig } from '../config/effective.ts'
import type { LogTuning } from '../log/log-tuning.ts'

/** What may change while the broker runs, as it is by now. */
export function logTuningOf(config: BrokerConfig): LogTuning {
  return {
    producerIdExpirationMs: config.get('producer.id.expiration.ms'),
    scrub: {
      intervalMs: config.get('log.scrub.interval.ms'),
      maxBytesPerSecond: config.get('log.scrub.max.bytes.per.second'),
    },
    cleaner: {
      mapBytes: config.get('log.cleaner.dedupe.buffer.size'),
      loadFactor: config.get('log.cleaner.io.buffer.load.factor'),
      maxBytesPerSecond: config.get('log.cleaner.io.max.bytes.per.second'),
    },
  }
}
