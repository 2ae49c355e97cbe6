// The ground of every simulation: a heap of events in simulated time, clocks that read it, and streams of chance from one seed.
// Between two events all microtasks run to their end, so a run depends on its seed alone.

import type { Clock, Timer } from '../host/clock.ts'
import { type Random, seededRandom } from '../host/random.ts'

interface Event {
  readonly atUs: number
  /** Events of the same time come in the order in which they were planned. */
  readonly number: number
  run: (() => void) | undefined
}

/** How often what has happened, by name: what shows whether a simulation is about what it is meant to be about. */
export class Tally extends Map<string, number> {
  count(what: string, times = 1): void {
    if (times > 0) this.set(what, (this.get(what) ?? 0) + times)
  }

  addAll(other: ReadonlyMap<string, number>): void {
    for (const [what, times] of other) this.count(what, times)
  }
}

/** Nothing that is waited for takes longer. Simulated, so generous. */
const HANGS_AFTER_US = 3_600_000_000
const START_MS = 1_750_000_000_000

/** Something waits that will never come. */
export class SimulationHang extends Error {
  override readonly name = 'SimulationHang'
}

export class Simulation {
  readonly seed: number
  private readonly streams = new Map<string, Dice>()
  private timeUs = 0
  private planned = 0
  private readonly heap: Event[] = []

  constructor(seed: number) {
    this.seed = seed
  }

  /** Microseconds since the beginning. */
  get nowUs(): number {
    return this.timeUs
  }

  /**
   * A stream of its own for each use: what one draws changes nothing for the others. It goes on where its last user stopped: a
   * process that is started again does not draw the ids of the one before.
   */
  stream(name: string): Dice {
    const known = this.streams.get(name)
    if (known !== undefined) return known
    let hash = (0x811c9dc5 ^ this.seed) >>> 0
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0
    const stream = new Dice(seededRandom(hash))
    this.streams.set(name, stream)
    return stream
  }

  after(delayUs: number, run: () => void): Timer {
    const event: Event = { atUs: this.timeUs + Math.max(1, Math.round(delayUs)), number: this.planned++, run }
    this.push(event)
    return {
      cancel: () => {
        event.run = undefined
      },
    }
  }

  /** Lets all happen that follows from what has been done, before anything else does. */
  turn(): Promise<void> {
    return quiet()
  }

  /** Lets one event happen, and all that follows from it at once. False where nothing is planned. */
  async step(): Promise<boolean> {
    const event = this.pop()
    if (event === undefined) return false
    this.timeUs = event.atUs
    // Most timers are cancelled before they are due: of those nothing follows.
    if (event.run === undefined) return true
    event.run()
    await quiet()
    return true
  }

  /** Lets everything happen that is due within `ms`. */
  async advance(ms: number): Promise<void> {
    const endUs = this.timeUs + Math.round(ms * 1000)
    await quiet()
    while (this.heap.length > 0 && this.heap[0].atUs <= endUs) await this.step()
    this.timeUs = endUs
  }

  /** Lets events happen until `work` has come to its end. Rejects as it does, or with SimulationHang. */
  async settle<T>(work: Promise<T>): Promise<T> {
    const deadlineUs = this.timeUs + HANGS_AFTER_US
    let settled = false
    const mark = () => {
      settled = true
    }
    work.then(mark, mark)
    await quiet()
    while (!settled) {
      if (this.timeUs > deadlineUs) throw new SimulationHang('an hour has gone by, and somebody still waits')
      if (!(await this.step())) throw new SimulationHang('nothing happens any more, and somebody still waits')
    }
    return work
  }

  private push(event: Event): void {
    const { heap } = this
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!earlier(event, heap[parent])) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = event
  }

  private pop(): Event | undefined {
    const { heap } = this
    const first = heap[0]
    const moved = heap.pop()
    if (moved === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && earlier(heap[child + 1], heap[child])) child++
      if (!earlier(heap[child], moved)) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = moved
    return first
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.number < b.number)
}

/** Lets something happen, now or later, or never. */
export type Pass = (run: () => void) => void

/** Node runs its ticks when no microtask is left, whatever microtasks plan meanwhile. */
function quiet(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve)
  })
}

/** The clock of one process: its timers end with it. Wall time can jump, monotonic time cannot. */
export class SimClock implements Clock {
  private readonly simulation: Simulation
  /** What the process notices goes through here: a gate that is shut while it is paused. */
  pass: Pass = (run) => run()
  private offsetMs = START_MS
  private running = true

  constructor(simulation: Simulation) {
    this.simulation = simulation
  }

  wallMs(): number {
    return this.offsetMs + Math.floor(this.simulation.nowUs / 1000)
  }

  monotonicMs(): number {
    return this.simulation.nowUs / 1000
  }

  timer(delayMs: number, run: () => void): Timer {
    return this.simulation.after(delayMs * 1000, () => {
      if (this.running) this.pass(run)
    })
  }

  soon(run: () => void): void {
    queueMicrotask(run)
  }

  /** Somebody sets the clock. */
  jump(ms: number): void {
    this.offsetMs += ms
  }

  /** The process has ended. Returns the clock of the next one on the same machine. */
  restart(): SimClock {
    this.running = false
    const next = new SimClock(this.simulation)
    next.offsetMs = this.offsetMs
    return next
  }
}

/** Chance with words for what it is asked. */
export class Dice implements Random {
  private readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  u32(): number {
    return this.random.u32()
  }

  bytes(length: number): Buffer {
    return this.random.bytes(length)
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return this.random.u32() % limit
  }

  /** `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  /** True as often as `probability` says. */
  chance(probability: number): boolean {
    return this.random.u32() < probability * 2 ** 32
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]
  }
}
