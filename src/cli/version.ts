// The version of this package, as package.json has it.

import { readFileSync } from 'node:fs'

/** For example `0.1.0`. */
export function version(): string {
  // Two folders up from src/cli/ as well as from dist/cli/.
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
