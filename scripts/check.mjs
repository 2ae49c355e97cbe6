// `npm run check`: types and lint, what no test runs.
import { spawnSync } from 'node:child_process'

const checks = [
  ['types', ['node_modules/typescript/bin/tsc', '-p', '.']],
  ['lint', ['node_modules/@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '.']],
]
let failed = false
for (const [name, command] of checks) {
  const run = spawnSync(process.execPath, command, { stdio: 'inherit' })
  console.log(`${run.status === 0 ? 'ok  ' : 'FAIL'} ${name}`)
  failed ||= run.status !== 0
}
process.exit(failed ? 1 : 0)
