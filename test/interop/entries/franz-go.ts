// franz-go's kgo tests (Go) that talk to a broker, one process per test. Those of the next-generation rebalance protocol, of share
// groups and of transactions skip themselves or fail until a broker announces those APIs.

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectory } from '../apache-kafka.ts'
import { mustRun, runCommand } from '../command.ts'
import type { CaseResult, Suite, Target } from '../suite.ts'

const VERSION = 'v1.22.2'
const PACKAGE = 'github.com/twmb/franz-go/pkg/kgo'
const directory = cacheDirectory(`franz-go-${VERSION}`)
const binary = join(directory, 'kgo.test')
/** Records of the tests that take records through a chain of groups; the project's own default is ten times that. */
const RECORDS = 50_000
const BUILD_TIMEOUT_MS = 900_000
const TEST_TIMEOUT_MS = 240_000

export const suite: Suite = {
  config: { 'auto.create.topics.enable': 'false', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    if (existsSync(binary)) return
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'go.mod'), 'module interop\n\ngo 1.24\n')
    await mustRun(['go', 'get', `github.com/twmb/franz-go@${VERSION}`], { cwd: directory, timeoutMs: BUILD_TIMEOUT_MS })
    await mustRun(['nice', 'go', 'test', '-c', '-o', `${binary}.aside`, PACKAGE], { cwd: directory, timeoutMs: BUILD_TIMEOUT_MS })
    await rename(`${binary}.aside`, binary)
  },

  async *run(target, only) {
    for (const name of await brokerTests()) if (only.test(name)) yield* runTest(name, target)
  },
}

/** The tests whose source reaches for a broker. */
async function brokerTests(): Promise<string[]> {
  const { stdout } = await mustRun(['go', 'list', '-f', '{{.Dir}}', PACKAGE], { cwd: directory })
  const source = stdout.trim()
  const names: string[] = []
  for (const file of (await readdir(source)).filter((file) => file.endsWith('_test.go')).sort()) {
    const text = await readFile(join(source, file), 'utf8')
    for (const [body, name] of text.matchAll(/^func (Test\w+)\([\s\S]*?^}/gm))
      if (/tmpTopic|tmpGroup|getSeedBrokers|newTestClient|testClientOpts/.test(body)) names.push(name!)
  }
  return names
}

/** A test and its subtests each count as a case. */
async function* runTest(test: string, { bootstrapServers }: Target): AsyncGenerator<CaseResult> {
  const { output, timedOut } = await runCommand(['nice', binary, '-test.v', `-test.run=^${test}$`, '-test.count=1'], {
    cwd: directory,
    timeoutMs: TEST_TIMEOUT_MS,
    env: { KGO_SEEDS: bootstrapServers, KGO_TEST_RF: '1', KGO_TEST_RECORDS: String(RECORDS), KGO_LOG_LEVEL: 'none' },
  })
  const outcomes = { PASS: 'pass', FAIL: 'fail', SKIP: 'skip' } as const
  const results = [...output.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+)/gm)]
  for (const [, outcome, name] of results) {
    const detail = outcome === 'FAIL' ? lastWords(output) : undefined
    yield { name: name!, outcome: outcomes[outcome as keyof typeof outcomes], ...(detail && { detail }) }
  }
  if (results.some(([, , name]) => name === test)) return
  yield { name: test, outcome: 'fail', detail: `${timedOut ? 'did not end' : 'broke off'}\n${lastWords(output)}` }
}

function lastWords(output: string): string {
  return output
    .split('\n')
    .filter((line) => /_test\.go:|panic|fatal|error/i.test(line) && !line.includes('DELETING'))
    .slice(-6)
    .join('\n')
}
