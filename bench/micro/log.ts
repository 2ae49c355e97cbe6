// What appending costs: batches of 100-byte records into one log, or several, under each flush policy, as fast as the disk
// takes them.
//   node bench/micro/log.ts [directory, by default in memory]

import { realClock } from '../../src/host/clock.ts'
import { MemoryDisk } from '../../src/host/memory-disk.ts'
import { realRandom } from '../../src/host/random.ts'
import { realDisk } from '../../src/host/real-disk.ts'
import { defaultLogConfig, type FlushPolicy } from '../../src/log/log-config.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import type { TopicId } from '../../src/protocol/ids.ts'
import { RecordBatchBuilder } from '../../src/protocol/records/batch-builder.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ' as TopicId
/** Appended and not yet written, at most: what a broker would let pile up. */
const PENDING_BYTES = 32 * 1024 * 1024
const RUN_BYTES = 1024 * 1024 * 1024

const directory = process.argv[2]

interface Load {
  readonly recordsPerBatch: number
  readonly partitions: number
  readonly bytes: number
}

const loads: Load[] = [
  { recordsPerBatch: 8000, partitions: 1, bytes: RUN_BYTES },
  { recordsPerBatch: 100, partitions: 1, bytes: RUN_BYTES / 4 },
  { recordsPerBatch: 1, partitions: 1, bytes: RUN_BYTES / 32 },
  { recordsPerBatch: 100, partitions: 100, bytes: RUN_BYTES / 4 },
]

for (const flushPolicy of ['os', 'interval', 'group'] satisfies FlushPolicy[]) {
  for (const load of loads) await run(flushPolicy, load)
}

async function run(flushPolicy: FlushPolicy, { recordsPerBatch, partitions, bytes }: Load): Promise<void> {
  const path = directory === undefined ? '/log' : `${directory}/moldau-bench-log`
  const disk = directory === undefined ? new MemoryDisk() : realDisk
  await disk.remove(path)
  const config = { ...defaultLogConfig, flushPolicy }
  const manager = await LogManager.open({
    disk,
    clock: realClock,
    random: realRandom,
    directories: [path],
    config: () => config,
    report: () => {},
  })
  const logs: PartitionLog[] = []
  for (let i = 0; i < partitions; i++) logs.push(await manager.create('bench', TOPIC_ID, i, config))
  const builder = new RecordBatchBuilder()
  const now = BigInt(Date.now())
  for (let i = 0; i < recordsPerBatch; i++) builder.append({ timestamp: now, value: Buffer.alloc(92, i) })
  const batch = builder.build()
  const count = Math.ceil(bytes / batch.length)

  let cpu = process.cpuUsage()
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    const log = logs[i % partitions]
    // A fresh buffer for each, as the network would bring it.
    const copy = Buffer.allocUnsafeSlow(batch.length)
    batch.copy(copy)
    log.append(copy, { origin: 'client', leaderEpoch: 1 })
    if (i % 64 === 0 || batch.length > 100_000) {
      await turn()
      while (manager.pendingBytes > PENDING_BYTES) await turn()
    }
  }
  await Promise.all(logs.map((log) => (flushPolicy === 'group' ? log.flush() : written(log))))
  const seconds = (performance.now() - start) / 1000
  cpu = process.cpuUsage(cpu)
  const figures = [
    flushPolicy.padEnd(8),
    `${batch.length} B batches`.padEnd(16),
    `${partitions} partitions`.padEnd(14),
    `${((count * recordsPerBatch) / seconds / 1e6).toFixed(2)} M records/s`.padEnd(18),
    `${((count * batch.length) / seconds / 1e6).toFixed(0)} MB/s`.padEnd(10),
    `${((seconds * 1e6) / count).toFixed(1)} µs per batch`.padEnd(20),
    `${((cpu.user + cpu.system) / 1e6 / seconds).toFixed(2)} cores`,
  ]
  console.log(figures.join(' '))
  await manager.close()
  await disk.remove(path)
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function written(log: PartitionLog): Promise<void> {
  while (log.writtenOffset < log.endOffset) await turn()
}
