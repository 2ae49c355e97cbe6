// Gives back what a process has taken while it was busy and does not need while it is not. V8 keeps a young generation of 16 MB and more for
// ever after a start or a burst, and collects nothing while nothing is allocated.

import v8 from 'node:v8'
import vm from 'node:vm'
import type { Timer } from './clock.ts'

const CHECK_EVERY_MS = 5_000
/** Processor time between two checks of a process that does next to nothing: its timers, a heartbeat. */
const IDLE_CPU_MS = 10
/** Processor time since memory was last given back from which on it is worth doing again. The start alone takes less. */
const WORTH_CPU_MS = 1_000
/** The collection takes about 4 ms for each megabyte. Whoever comes just then waits no longer than for a slow disk. */
const LARGEST_HEAP_BYTES = 48 * 1024 * 1024

/** Tells when it is time, from how much processor time a process has taken so far. */
export class IdleWatch {
  private atLastCheckMs: number
  private nextReleaseMs = 0

  constructor(cpuMs: number) {
    this.atLastCheckMs = cpuMs
  }

  /** True once after each busy time, the start among them, when a whole interval was idle. */
  check(cpuMs: number): boolean {
    const idle = cpuMs - this.atLastCheckMs < IDLE_CPU_MS
    this.atLastCheckMs = cpuMs
    if (!idle || cpuMs < this.nextReleaseMs) return false
    this.nextReleaseMs = cpuMs + WORTH_CPU_MS
    return true
  }
}

/** Calls `release` and then collects all garbage, once after each busy time. Keeps no process alive. */
export function releaseMemoryWhenIdle(release: () => void): Timer {
  const watch = new IdleWatch(cpuMs())
  const interval = setInterval(() => {
    if (!watch.check(cpuMs()) || process.memoryUsage().heapUsed > LARGEST_HEAP_BYTES) return
    release()
    collectGarbage({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  }, CHECK_EVERY_MS).unref()
  return { cancel: () => clearInterval(interval) }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

let collector: NodeJS.GCFunction | undefined

function collectGarbage(options: NodeJS.GCOptions): void {
  if (collector === undefined) {
    // Node shows the collector to processes that are started with this flag, and to contexts that are made after it is set.
    v8.setFlagsFromString('--expose-gc')
    collector = vm.runInNewContext('gc') as NodeJS.GCFunction
  }
  collector(options)
}
