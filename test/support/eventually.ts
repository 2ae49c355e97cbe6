// Waiting for what must come true: tests wait for conditions, never for time to pass.

import { setTimeout as delay } from 'node:timers/promises'

/** Long enough for a busy machine; a test that fails takes it, one that passes does not. */
const WITHIN_MS = 20_000
const EVERY_MS = 20

/**
 * Tries until `condition` neither throws nor answers false, and resolves with what it answered.
 * Rejects with the last error, or with `what` did not come true.
 */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  { what = 'the condition', withinMs = WITHIN_MS }: { what?: string; withinMs?: number } = {},
): Promise<Exclude<T, false>> {
  const deadline = performance.now() + withinMs
  for (;;) {
    let failure: unknown
    try {
      const answer = await condition()
      if (answer !== false) return answer as Exclude<T, false>
      failure = new Error(`${what} did not come true within ${withinMs} ms`)
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) throw failure
    await delay(EVERY_MS)
  }
}
