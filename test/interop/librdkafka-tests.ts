// librdkafka's own tests that need a broker, one process per case. Those that use ACLs or several brokers are among
// them too: they say what is still to come.

import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { javaCommand, kafkaClassPath } from './apache-kafka.ts'
import { mustRun, runCommand } from './command.ts'
import { type Librdkafka, librdkafka } from './librdkafka-source.ts'
import type { CaseResult, Suite } from './suite.ts'

/** Without it the newer cases are skipped in silence. */
const BROKER_VERSION = '4.3.0'
const CASE_TIMEOUT_MS = 180_000
const SCRIPTS = { 'kafka-topics.sh': 'org.apache.kafka.tools.TopicCommand', 'kafka-acls.sh': 'org.apache.kafka.tools.AclCommand' }

/** What a case needs of the broker: the runner leaves out the cases of other scenarios. */
export type Scenario = 'default' | 'noautocreate'

interface SuiteOptions {
  /** Of all, those whose names match. */
  readonly cases?: RegExp
  /** They get topics of one replica, however many they ask for: there is one broker. */
  readonly oneReplica?: boolean
}

/** `flags` are the runner's, beside those that every entry gives. */
export function librdkafkaSuite(
  scenario: Scenario,
  config: Suite['config'],
  flags: readonly string[] = [],
  { cases = /./, oneReplica = false }: SuiteOptions = {},
): Suite {
  return {
    // As the project's own test clusters have it.
    config: { 'num.partitions': '4', 'group.initial.rebalance.delay.ms': '0', ...config },

    async prepare() {
      await librdkafka()
    },

    async *run(target, only) {
      const built = await librdkafka()
      await using directory = await temporaryDirectory()
      const configuration = join(directory.path, 'test.conf')
      await writeFile(configuration, `bootstrap.servers=${target.bootstrapServers}\nbroker.address.family=v4\n`)
      await writeKafkaScripts(directory.path)
      const environment = {
        ...built.env,
        RDKAFKA_TEST_CONF: configuration,
        TEST_KAFKA_VERSION: BROKER_VERSION,
        TEST_SCENARIO: scenario,
        BROKERS: target.bootstrapServers,
        KAFKA_PATH: directory.path,
        ...(oneReplica && { LD_PRELOAD: await buildOneReplica(directory.path) }),
      }
      for (const name of await brokerCases(built, scenario))
        if (cases.test(name) && only.test(name)) yield await runCase(name, built, flags, environment)
    },
  }
}

async function buildOneReplica(directory: string): Promise<string> {
  const library = join(directory, 'one-replica.so')
  await mustRun(['gcc', '-shared', '-fPIC', '-o', library, join(import.meta.dirname, 'one-replica.c'), '-ldl'])
  return library
}

/**
 * Some cases create topics with Kafka's own scripts, expected in KAFKA_PATH/bin; some run Java programs of theirs, which are compiled
 * with the jars in KAFKA_PATH/libs.
 */
async function writeKafkaScripts(directory: string): Promise<void> {
  await mkdir(join(directory, 'bin'))
  for (const [name, mainClass] of Object.entries(SCRIPTS)) {
    const command = (await javaCommand(mainClass, [])).map((word) => `'${word}'`).join(' ')
    await writeFile(join(directory, 'bin', name), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 })
  }
  const classPath = await kafkaClassPath()
  const runClass = `#!/bin/sh\nexec java -cp "$CLASSPATH:${classPath}" "$@"\n`
  await writeFile(join(directory, 'bin', 'kafka-run-class.sh'), runClass, { mode: 0o755 })
  await symlink(join(classPath.split(':')[0]!, 'libs'), join(directory, 'libs'))
}

/**
 * The names in the runner's table, without those that need no broker, a manipulated network, or never pass. Those of share groups
 * wait for a broker of ours that serves them: in quick mode most of them pass without doing anything.
 */
async function brokerCases({ tests }: Librdkafka, scenario: Scenario): Promise<string[]> {
  const source = await readFile(join(tests, 'test.c'), 'utf8')
  const table = source.slice(source.indexOf('struct test tests[]'))
  return [...table.matchAll(/^ {4}_TEST\((\w+),\s*([^,)]+)((?:[^()]|\([^()]*\))*)\)/gm)]
    .filter(([, , flags]) => !/LOCAL|SOCKEM|MANUAL|KNOWN_ISSUE\b/.test(flags!))
    .filter(([, , , rest]) => (/\.scenario = "([^"]+)"/.exec(rest!)?.[1] ?? 'default').split(',').includes(scenario))
    .map(([, name]) => name!)
    .filter((name) => !name.includes('share_consumer'))
}

async function runCase(
  name: string,
  { tests }: Librdkafka,
  flags: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CaseResult> {
  const command = ['nice', './test-runner', '-p1', '-Q', '-E', '-L', ...flags]
  const result = await runCommand(command, { cwd: tests, timeoutMs: CASE_TIMEOUT_MS, env: { ...env, TESTS: name } })
  if (result.timedOut)
    return { name, outcome: 'fail', detail: `took over ${CASE_TIMEOUT_MS / 1000} s\n${lastWords(result.output)}` }
  const state = new RegExp(`Test ${name} (PASSED|SKIPPED)`).exec(result.output)?.[1]
  if (state === 'SKIPPED') return { name, outcome: 'skip', detail: skipReason(result.output) }
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
