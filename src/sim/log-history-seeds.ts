// The histories that every run of the tests goes through: a fixed number, in several files, so that several processes share the work.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realClock } from '../host/clock.ts'
import { HistoryFailure, runHistory } from './log-histories.ts'
import { Tally } from './simulation.ts'

/** Of one file. Tens of thousands on command: npm run sim:log -- --seeds 0..50000 */
const SEEDS = 550

/** What the seeds are about, so that nobody makes them about nothing: how often at least, in a hundred histories. */
const AT_LEAST = {
  'power cuts': 150,
  kills: 100,
  'batches produced': 500,
  'batches copied from a leader': 50,
  'batches of coordinators': 50,
  markers: 50,
  duplicates: 20,
  audits: 20,
  compactions: 5,
  'compactions that remove something': 3,
  'lost renames in a power cut': 1,
  'lost new names in a power cut': 10,
  'files with other bytes after a power cut': 10,
  'faults set up': 5,
}

/** File number `part` of those that share the seeds. */
export function testHistories(part: number): void {
  const first = part * SEEDS
  test(`random histories of logs keep every promise through power cuts, kills and failing disks, from seed ${first} on`, async (t) => {
    const total = new Tally()
    let seed = first
    const rejected: unknown[] = []
    const onRejection = (error: unknown) => rejected.push(new HistoryFailure(seed, error as Error, []))
    process.on('unhandledRejection', onRejection)
    for (; seed < first + SEEDS && rejected.length === 0; seed++) {
      total.addAll(new Map(Object.entries(await runHistory(seed))))
      // Rejections that nobody has caught are heard of when the event loop turns.
      if (seed % 50 === 49) await new Promise<void>((resolve) => realClock.soon(resolve))
    }
    process.off('unhandledRejection', onRejection)
    if (rejected.length > 0) throw rejected[0]
    for (const [what, times] of Object.entries(AT_LEAST)) {
      const found = total.get(what) ?? 0
      assert.ok(found >= (times * SEEDS) / 100, `${what}: ${found} times in ${SEEDS} histories`)
    }
    t.diagnostic([...total].map(([what, times]) => `${times} ${what}`).join(', '))
  })
}
