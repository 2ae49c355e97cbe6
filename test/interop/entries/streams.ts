// Kafka Streams with exactly_once_v2 (../java/ExactTotals.java): two processes of one application count words and keep balances while they
// and the broker are killed, or told to end, again and again. Each input has to count once: the outputs are all there, in order.
// INTEROP_BOUNCES makes it longer: `INTEROP_BOUNCES=40 npm run interop -- streams`.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterClient } from '../../../src/client/cluster-client.ts'
import { Producer } from '../../../src/client/producer.ts'
import { realClock } from '../../../src/host/clock.ts'
import { realRandom } from '../../../src/host/random.ts'
import { realNetwork } from '../../../src/host/real-network.ts'
import { root } from '../../support/broker-process.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { javaCommand, kafkaClassPath, streamsClassPath } from '../apache-kafka.ts'
import { mustRun, runCommand } from '../command.ts'
import { runCases, type Suite, type Target } from '../suite.ts'

const BOUNCES = Number(process.env['INTEROP_BOUNCES'] ?? 12)
const PARTITIONS = 3
const INSTANCES = 2
/** Fed before each bounce, and once more at the end. */
const LINES = 400
const PAYMENTS = 400
const WORDS_PER_LINE = 5
const WORDS = Array.from({ length: 40 }, (_, index) => `word-${index}`)
const ACCOUNTS = Array.from({ length: 20 }, (_, index) => `account-${index}`)
/** Who is bounced, in turn. Instances are killed twice as often as the broker. */
const VICTIMS = ['instance SIGKILL', 'broker SIGKILL', 'instance SIGTERM', 'instance SIGKILL', 'broker SIGTERM'] as const
/** One more output: after a bounce others take over, and read the stores anew. */
const PROGRESS_WITHIN_MS = 120_000
const ENDS_WITHIN_MS = 30_000
const TOOL_JVM = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']
const SOURCE = join(root, 'test', 'interop', 'java', 'ExactTotals.java')

export const suite: Suite = {
  config: {
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    // Streams begins to retry where it must, not where topics are large.
    'offsets.topic.num.partitions': '5',
    'transaction.state.log.num.partitions': '5',
  },

  async prepare() {
    await kafkaClassPath()
    await streamsClassPath()
  },

  run: runCases({
    'a topology and the broker are killed, each input counts once': async (target) => {
      await using directory = await temporaryDirectory()
      const classPath = `${directory.path}:${await streamsClassPath()}:${await kafkaClassPath()}`
      await mustRun(['javac', '-d', directory.path, '-cp', classPath, SOURCE])
      // The counts are in one partition, so that they can be read along without a group.
      const topics = { lines: PARTITIONS, payments: PARTITIONS, counts: 1, balances: PARTITIONS }
      for (const [topic, partitions] of Object.entries(topics))
        await tool(target, 'TopicCommand', `--create --topic ${topic} --partitions ${partitions}`)
      const input = new Input(target)
      const counts = new Counts(target)
      const instances: Instance[] = []
      try {
        for (let i = 0; i < INSTANCES; i++)
          instances.push(new Instance(target, classPath, await mkdtemp(join(directory.path, 'state-'))))
        await feedUnderFire(target, input, counts, instances)
        await counts.reach(input.words)
        for (const instance of instances) await instance.end('SIGTERM')
        const balances = await read(target, 'balances', input.payments.length + 1)
        checkCounts(counts.lines, input)
        checkBalances(balances, input)
        // Read from the beginning, by somebody who has seen nothing of it happen.
        checkCounts(await read(target, 'counts', input.words + 1), input)
        const hanging = await tool(target, 'TransactionsCommand', 'find-hanging --broker-id 1 --max-transaction-timeout 1')
        if (/counts|balances|exact-totals|__consumer_offsets/.test(hanging))
          throw new Error(`transactions are left open:\n${hanging}`)
      } catch (error) {
        const words = instances.map((instance) => instance.lastWords())
        throw new Error([(error as Error).message, ...words].join('\n'), { cause: error })
      } finally {
        counts.stop()
        for (const instance of instances) await instance.end('SIGKILL')
        await input.close()
      }
      return undefined
    },
  }),
}

/** Each bounce takes place while the application works off what was just fed. */
async function feedUnderFire(target: Target, input: Input, counts: Counts, instances: readonly Instance[]): Promise<void> {
  for (let bounce = 0; bounce < BOUNCES; bounce++) {
    const before = input.words
    await input.feed()
    await counts.reach(before + randomInt((input.words - before) * 0.8))
    await sleep(randomInt(100)) // anywhere in a transaction
    const [victim, signal] = VICTIMS[bounce % VICTIMS.length]!.split(' ') as ['instance' | 'broker', 'SIGKILL' | 'SIGTERM']
    if (victim === 'broker') await target.crash(signal)
    else await instances[randomInt(instances.length)]!.restart(signal)
    for (const instance of instances) instance.check()
  }
  await input.feed()
}

/** What the application is given, each record once: an idempotent producer of ours writes it, through restarts of the broker. */
class Input {
  readonly payments: { readonly account: string; readonly amount: number }[] = []
  readonly occurrences = new Map<string, number>()
  words = 0
  readonly #cluster: ClusterClient
  readonly #producer: Producer

  constructor({ bootstrapServers }: Target) {
    this.#cluster = new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })
    this.#producer = new Producer(this.#cluster)
  }

  async feed(): Promise<void> {
    const sent: Promise<unknown>[] = []
    for (let i = 0; i < LINES; i++) {
      const line = Array.from({ length: WORDS_PER_LINE }, () => WORDS[randomInt(WORDS.length)]!)
      for (const word of line) this.occurrences.set(word, (this.occurrences.get(word) ?? 0) + 1)
      this.words += line.length
      sent.push(this.#producer.send({ topic: 'lines', partition: i % PARTITIONS, value: line.join(' ') }))
    }
    for (let i = 0; i < PAYMENTS; i++) {
      const payment = { account: ACCOUNTS[randomInt(ACCOUNTS.length)]!, amount: randomInt(1_000_000) }
      this.payments.push(payment)
      sent.push(this.#producer.send({ topic: 'payments', key: payment.account, value: `${payment.amount}` }))
    }
    await Promise.all(sent)
  }

  async close(): Promise<void> {
    await this.#producer.close()
    await this.#cluster.close()
  }
}

/** Reads the committed counts as they are written, through every restart of the broker. */
class Counts {
  readonly lines: string[] = []
  readonly #reader = new AbortController()
  readonly #ended: Promise<{ readonly stderr: string }>

  constructor(target: Target) {
    const args = `--topic counts --partition 0 --offset earliest --isolation-level read_committed ${KEYS}`
    this.#ended = toolCommand(target, 'consumer.ConsoleConsumer', args).then((command) =>
      runCommand(command, { signal: this.#reader.signal, timeoutMs: 2 ** 31 - 1, onLine: (line) => this.lines.push(line) }),
    )
  }

  async reach(count: number): Promise<void> {
    let [seen, deadline] = [this.lines.length, performance.now() + PROGRESS_WITHIN_MS]
    while (this.lines.length < count) {
      if (this.lines.length > seen) [seen, deadline] = [this.lines.length, performance.now() + PROGRESS_WITHIN_MS]
      if (performance.now() > deadline) throw new Error(`no more than ${seen} of ${count} counts were seen`)
      await sleep(20)
    }
  }

  stop(): void {
    this.#reader.abort()
    void this.#ended
  }
}

/** One process of the application: its stores are its own, also when it comes back. */
class Instance {
  readonly #command: Promise<readonly string[]>
  #child: ChildProcess | undefined
  #ended: Promise<number | null>
  #output = ''

  constructor({ bootstrapServers }: Target, classPath: string, stateDirectory: string) {
    this.#command = javaCommand('ExactTotals', [bootstrapServers, stateDirectory], TOOL_JVM, classPath)
    this.#ended = this.#start()
  }

  async restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await this.end(signal)
    this.#ended = this.#start()
  }

  /** Resolves when it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await this.#command
    const impatient = setTimeout(() => this.#child?.kill('SIGKILL'), ENDS_WITHIN_MS)
    this.#child?.kill(signal)
    await this.#ended
    clearTimeout(impatient)
  }

  /** Throws if it has ended by itself. */
  check(): void {
    if (this.#child?.exitCode === 1) throw new Error('the application has failed')
  }

  lastWords(): string {
    return this.#output.slice(-6000)
  }

  async #start(): Promise<number | null> {
    const [command, ...args] = await this.#command
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const killWithUs = () => child.kill('SIGKILL')
    process.once('exit', killWithUs)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-100_000)
      })
    }
    return await new Promise((resolve) =>
      child.once('close', (code) => {
        process.off('exit', killWithUs)
        resolve(code)
      }),
    )
  }
}

/** Of each word 1, 2, 3 and so on, to as often as it was written. */
function checkCounts(lines: readonly string[], input: Input): void {
  const seen = byKey(lines)
  for (const [word, occurrences] of input.occurrences) {
    requireSame(
      word,
      seen.get(word) ?? [],
      Array.from({ length: occurrences }, (_, index) => `${index + 1}`),
    )
  }
  if (lines.length !== input.words) throw new Error(`${lines.length} counts for ${input.words} words`)
}

function checkBalances(lines: readonly string[], input: Input): void {
  const expected = new Map<string, string[]>()
  const digests = new Map<string, bigint>()
  for (const { account, amount } of input.payments) {
    const digest = ((digests.get(account) ?? 0n) * 31n + BigInt(amount)) % 1_000_000_007n
    digests.set(account, digest)
    const balances = expected.get(account) ?? []
    expected.set(account, balances)
    balances.push(`${balances.length + 1} ${digest}`)
  }
  const seen = byKey(lines)
  for (const [account, balances] of expected) requireSame(account, seen.get(account) ?? [], balances)
  if (lines.length !== input.payments.length) throw new Error(`${lines.length} balances for ${input.payments.length} payments`)
}

/** The values of each key, in order. */
function byKey(lines: readonly string[]): Map<string, string[]> {
  const values = new Map<string, string[]>()
  for (const line of lines) {
    const [key, value] = line.split('\t') as [string, string]
    const others = values.get(key)
    if (others === undefined) values.set(key, [value])
    else others.push(value)
  }
  return values
}

/** Says where two sequences first differ. */
function requireSame(what: string, actual: readonly string[], expected: readonly string[]): void {
  const length = Math.max(actual.length, expected.length)
  for (let i = 0; i < length; i++) {
    if (actual[i] === expected[i]) continue
    const around = actual.slice(Math.max(0, i - 2), i + 3).join(', ')
    throw new Error(`${what}: output ${i} of ${expected.length} is ${actual[i]}, not ${expected[i]}; around it: ${around}`)
  }
}

const KEYS = '--formatter-property print.key=true'

/** Committed records as KEY\tVALUE, in the order of each partition. */
async function read(target: Target, topic: string, most: number): Promise<string[]> {
  const args = `--topic ${topic} --from-beginning --isolation-level read_committed --max-messages ${most} --timeout-ms 8000 ${KEYS}`
  return (await tool(target, 'consumer.ConsoleConsumer', args)).split('\n').filter((line) => line.includes('\t'))
}

async function tool(target: Target, name: string, args: string): Promise<string> {
  return (await mustRun(await toolCommand(target, name, args), { timeoutMs: 120_000 })).stdout
}

function toolCommand(target: Target, name: string, args: string): Promise<string[]> {
  const words = ['--bootstrap-server', target.bootstrapServers, ...args.split(' ')]
  return javaCommand(`org.apache.kafka.tools.${name}`, words, TOOL_JVM)
}
