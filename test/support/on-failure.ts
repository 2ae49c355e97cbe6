// What a test has to say only if it fails: a client's log, the last words of a process.

import type { TestContext } from 'node:test'

/** Node has it since 22; its types do not know it yet. */
type Outcome = TestContext & { readonly passed: boolean }

/** Writes `say()` to standard error when the test has failed. */
export function onFailure(t: TestContext, say: () => string): void {
  t.after(() => {
    if (!(t as Outcome).passed) process.stderr.write(`In "${t.name}":\n${say()}\n`)
  })
}
