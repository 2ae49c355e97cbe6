// What compacting a log costs, and what those who use the broker meanwhile notice of it:
//   node bench/compaction.ts [--updates 10000000] [--keys 100000] [--value 100] [--codec none] [--directory DIR]
// Fills a log on the real disk with updates of random keys, compacts it, and appends to another log all the while. Prints time, size
// before and after, how far the memory grew, and how long the event loop and an append had to wait, with compaction and without.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type CodecName, CompressionCodec } from '../src/bytes/compression/codecs.ts'
import { realClock } from '../src/host/clock.ts'
import { realRandom, seededRandom } from '../src/host/random.ts'
import { realDisk } from '../src/host/real-disk.ts'
import { defaultLogConfig } from '../src/log/log-config.ts'
import { LogManager } from '../src/log/log-manager.ts'
import type { PartitionLog } from '../src/log/partition-log.ts'
import type { TopicId } from '../src/protocol/ids.ts'
import { RecordBatchBuilder } from '../src/protocol/records/batch-builder.ts'

const { values } = parseArgs({
  options: {
    updates: { type: 'string', default: '10000000' },
    keys: { type: 'string', default: '100000' },
    value: { type: 'string', default: '100' },
    batch: { type: 'string', default: '150' },
    codec: { type: 'string', default: 'none' },
    directory: { type: 'string' },
  },
})
const UPDATES = Number(values.updates)
const KEYS = Number(values.keys)
const RECORDS_PER_BATCH = Number(values.batch)
/** What the other log is given, and how often. */
const APPEND_EVERY_MS = 2
const QUIET_MS = 3000
const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ' as TopicId

const path = values.directory ?? (await mkdtemp(`${tmpdir()}/moldau-compaction-`))
const compacted = {
  ...defaultLogConfig,
  deletes: false,
  compacts: true,
  flushPolicy: 'os' as const,
  segmentBytes: 128 * 1024 * 1024,
  minCleanableDirtyRatio: 0,
  fileDeleteDelayMs: 0,
}
const manager = await LogManager.open({
  disk: realDisk,
  clock: realClock,
  random: realRandom,
  directories: [path],
  config: () => compacted,
  report: (event) =>
    event.event !== 'logs-loaded' && console.log(JSON.stringify(event, (_, v) => (typeof v === 'bigint' ? Number(v) : v))),
})
try {
  const log = await manager.create('updates', TOPIC_ID, 0, compacted)
  const other = await manager.create('other', TOPIC_ID, 0, { ...defaultLogConfig, flushPolicy: 'os' })
  await fill(log)
  await log.roll()
  await log.flush()
  console.log(
    `${UPDATES} updates of ${KEYS} keys, ${megabytes(log.sizeBytes)}, batches of ${RECORDS_PER_BATCH} records, ${values.codec}`,
  )
  globalThis.gc?.()
  const quiet = await observed(other, () => new Promise((resolve) => setTimeout(resolve, QUIET_MS)))
  const before = log.sizeBytes
  const cpu = process.cpuUsage()
  const busy = await observed(other, () => manager.compact())
  const { user, system } = process.cpuUsage(cpu)
  const processor = ((user + system) / 1e6).toFixed(1)
  console.log(
    `compacted in ${(busy.ms / 1000).toFixed(1)} s (${processor} s of processor), ${megabytes(before)} to ${megabytes(log.sizeBytes)}`,
  )
  console.log(`memory grew by ${megabytes(busy.peakBytes - quiet.peakBytes)}`)
  for (const [name, { loop, append }] of Object.entries({ quiet, compacting: busy })) {
    console.log(`${name.padEnd(11)} event loop late ${loop}; an append written after ${append}`)
  }
} finally {
  await manager.close()
  await rm(path, { recursive: true, force: true })
}

async function fill(log: PartitionLog): Promise<void> {
  const random = seededRandom(1)
  const value = Buffer.alloc(Number(values.value), 'some text that a codec can do something with; ')
  const codecId = CompressionCodec[values.codec as CodecName]
  for (let done = 0; done < UPDATES; done += RECORDS_PER_BATCH) {
    const builder = new RecordBatchBuilder({ sizeHint: RECORDS_PER_BATCH * (value.length + 30) })
    for (let i = 0; i < RECORDS_PER_BATCH; i++) {
      builder.append({ timestamp: 1_750_000_000_000n, key: Buffer.from(`key-${random.u32() % KEYS}`), value })
    }
    log.append(builder.build({ codecId }), { origin: 'client', leaderEpoch: 0 })
    while (manager.pendingBytes > 16 * 1024 * 1024) await new Promise(setImmediate)
  }
  await log.flush()
}

/** Runs `work`, and looks meanwhile what a producer would see. */
async function observed(other: PartitionLog, work: () => Promise<unknown>) {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  const waits: number[] = []
  let peakBytes = 0
  const batch = new RecordBatchBuilder()
  batch.append({ timestamp: 1_750_000_000_000n, value: Buffer.alloc(100) })
  const bytes = batch.build()
  const waiting: number[] = []
  const failed = (_log: PartitionLog, error: Error) => {
    throw error
  }
  const onWritten = () => {
    for (const begun of waiting.splice(0)) waits.push(performance.now() - begun)
  }
  other.observer = { highWatermark: 0n, onWritten, onFlushed() {}, onDiscarded: failed, onFailure: failed }
  const timer = setInterval(() => {
    waiting.push(performance.now())
    other.append(Buffer.from(bytes), { origin: 'client', leaderEpoch: 0 })
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
  }, APPEND_EVERY_MS)
  delays.enable()
  const begun = performance.now()
  await work()
  const ms = performance.now() - begun
  delays.disable()
  clearInterval(timer)
  waits.sort((a, b) => a - b)
  const at = (share: number) => (waits[Math.floor(waits.length * share)] ?? Number.NaN).toFixed(1)
  const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - 1).toFixed(1)
  return {
    ms,
    peakBytes,
    loop: `p50 ${late(delays.percentile(50))} p99 ${late(delays.percentile(99))} max ${late(delays.max)} ms`,
    append: `p50 ${at(0.5)} p99 ${at(0.99)} max ${at(0.9999)} ms`,
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`
}
