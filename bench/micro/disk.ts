// What one write costs, by its size: small ones are made at once, larger ones by the thread pool. `node bench/micro/disk.ts [directory]`.
// Microseconds of processor time of the whole process, and of wall time, per write; the best of several runs.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realDisk } from '../../src/host/real-disk.ts'

const RUNS = 10
const WRITES = 500
const SIZES = [200, 4096, 16 * 1024, 32 * 1024, 32 * 1024 + 1, 64 * 1024, 256 * 1024]

const directory = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'moldau-bench-'))
try {
  for (const size of SIZES) await measure(size)
} finally {
  await rm(directory, { recursive: true })
}

async function measure(size: number): Promise<void> {
  const chunk = Buffer.alloc(size, 1)
  let bestCpu = Number.POSITIVE_INFINITY
  let bestWall = Number.POSITIVE_INFINITY
  for (let run = 0; run < RUNS; run++) {
    const file = await realDisk.open(`${directory}/${size}-${run}`, 'write')
    const cpu = process.cpuUsage()
    const begun = performance.now()
    for (let i = 0; i < WRITES; i++) await file.write([chunk], i * size)
    bestWall = Math.min(bestWall, ((performance.now() - begun) * 1000) / WRITES)
    const { user, system } = process.cpuUsage(cpu)
    bestCpu = Math.min(bestCpu, (user + system) / WRITES)
    await file.close()
    await realDisk.remove(`${directory}/${size}-${run}`)
  }
  console.log(
    `${String(size).padStart(8)} bytes ${bestCpu.toFixed(1).padStart(8)} µs CPU ${bestWall.toFixed(1).padStart(8)} µs wall`,
  )
}
