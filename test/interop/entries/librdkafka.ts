// librdkafka's own tests that need a broker, one process per case. Those that use transactions, share groups or several brokers
// are part of the list too: it says what is still to come.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { runCommand } from '../command.ts'
import { type Librdkafka, librdkafka } from '../librdkafka-source.ts'
import type { CaseResult, Suite, Target } from '../suite.ts'

/** Without it the newer cases are skipped in silence. */
const BROKER_VERSION = '4.3.0'
const CASE_TIMEOUT_MS = 180_000

export const suite: Suite = {
  // As the project's own test clusters have it.
  config: { 'num.partitions': '4', 'auto.create.topics.enable': 'true', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    await librdkafka()
  },

  async *run(target, only) {
    const built = await librdkafka()
    await using directory = await temporaryDirectory()
    const configuration = join(directory.path, 'test.conf')
    await writeFile(configuration, `bootstrap.servers=${target.bootstrapServers}\nbroker.address.family=v4\n`)
    for (const name of await brokerCases(built)) {
      if (only.test(name)) yield await runCase(name, built, configuration, target)
    }
  },
}

/** The names in the runner's table, without those that need no broker or a manipulated network. */
async function brokerCases({ tests }: Librdkafka): Promise<string[]> {
  const source = await readFile(join(tests, 'test.c'), 'utf8')
  const table = source.slice(source.indexOf('struct test tests[]'))
  return [...table.matchAll(/^ {4}_TEST\((\w+),\s*([^,)]+)/gm)]
    .filter(([, , flags]) => !/LOCAL|SOCKEM|MANUAL/.test(flags!))
    .map(([, name]) => name!)
}

async function runCase(name: string, { tests, env }: Librdkafka, configuration: string, target: Target): Promise<CaseResult> {
  const result = await runCommand(['nice', './test-runner', '-p1', '-Q', '-E', '-L', '-K'], {
    cwd: tests,
    timeoutMs: CASE_TIMEOUT_MS,
    env: {
      ...env,
      RDKAFKA_TEST_CONF: configuration,
      TEST_KAFKA_VERSION: BROKER_VERSION,
      TESTS: name,
      BROKERS: target.bootstrapServers,
    },
  })
  if (result.timedOut)
    return { name, outcome: 'fail', detail: `took over ${CASE_TIMEOUT_MS / 1000} s\n${lastWords(result.output)}` }
  const state = new RegExp(`Test ${name}.* (PASSED|SKIPPED|FAILED)`).exec(result.output)?.[1]
  if (state === 'SKIPPED' || /\b0 test\(s\) run/.test(result.output))
    return { name, outcome: 'skip', detail: skipReason(result.output) }
  if (state === 'PASSED' && result.code === 0) return { name, outcome: 'pass' }
  return { name, outcome: 'fail', detail: lastWords(result.output) }
}

/** What of the output says why it failed: the runner repeats it in its summary, below the failed test's name. */
function lastWords(output: string): string {
  const lines = output
    .split('\n')
    .filter((line) => /assert|FAIL|TEST FAILURE|expected|Failed|error/i.test(line) && !/PASSED/.test(line))
  return lines.slice(-8).join('\n')
}

function skipReason(output: string): string {
  return output
    .split('\n')
    .filter((line) => /skip/i.test(line))
    .slice(0, 2)
    .join('\n')
}
