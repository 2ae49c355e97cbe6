// `npm test [-- FILE|PATTERN…]`: every *.test.ts, or the ones named.
import { spawnSync } from 'node:child_process'

const patterns = process.argv.slice(2)
const files = patterns.length > 0 ? patterns : ['src/**/*.test.ts', 'test/**/*.test.ts', 'bench/**/*.test.ts']
const run = spawnSync(
  process.execPath,
  // Four at once on two cores: tests wait for sockets and disks more than they compute. A stuck file fails instead of hanging the run.
  [
    '--test',
    '--test-concurrency=4',
    '--test-timeout=300000',
    '--test-reporter=./scripts/terse-reporter.mjs',
    '--test-reporter-destination=stdout',
    ...files,
  ],
  { stdio: 'inherit' },
)
process.exit(run.status ?? 1)
