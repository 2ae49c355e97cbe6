// Kafka's system test of exactly once: its TransactionalMessageCopier copies integers in transactions, in one group, while the copiers
// and the broker are killed again and again. Each integer has to be there once, in order.
// INTEROP_INTEGERS and INTEROP_BOUNCES make it longer: `INTEROP_INTEGERS=100000 INTEROP_BOUNCES=30 npm run interop -- transactions`.

import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { javaCommand, kafkaClassPath } from '../apache-kafka.ts'
import { type CommandResult, mustRun, runCommand } from '../command.ts'
import { runCases, type Suite, type Target } from '../suite.ts'

const INTEGERS = Number(process.env['INTEROP_INTEGERS'] ?? 20_000)
/** Every third one is the broker's, the others are copiers'. */
const BOUNCES = Number(process.env['INTEROP_BOUNCES'] ?? 9)
const PARTITIONS = 2
const COPIERS = 2
const TRANSACTION_SIZE = 750
/** Above the time that the broker takes to come back: it is the killed copiers' successors that should end what they left open. */
const TRANSACTION_TIMEOUT_MS = 40_000
const TIMEOUT_MS = 120_000 + BOUNCES * 30_000
const TOOL_JVM = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

export const suite: Suite = {
  config: { 'auto.create.topics.enable': 'false', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    await kafkaClassPath()
  },

  run: runCases({
    'copiers and the broker are killed, each integer is copied once': async (target) => {
      for (const topic of ['input', 'output'])
        await mustTool(target, 'TopicCommand', `--create --topic ${topic} --partitions ${PARTITIONS}`)
      await seed(target)
      const expected = await drain(target, 'input', INTEGERS)
      await using reader = readAlong(target, expected[0]!.length)
      await copyUnderFire(target)
      // One more than there should be: a copy too many shows.
      const copied = await drain(target, 'output', INTEGERS + 1)
      for (const partition of expected.keys()) requireSame(`partition ${partition}`, copied[partition]!, expected[partition]!)
      requireSame('partition 0, read while it was written', await reader.integers, expected[0]!)
      const hanging = await mustTool(target, 'TransactionsCommand', 'find-hanging --broker-id 1 --max-transaction-timeout 1')
      if (/output|__consumer_offsets/.test(hanging.stdout)) throw new Error(`transactions are left open:\n${hanging.stdout}`)
      return undefined
    },
  }),
}

async function seed(target: Target): Promise<void> {
  await using directory = await temporaryDirectory()
  const config = join(directory.path, 'producer.properties')
  await writeFile(config, 'enable.idempotence=true\nretries=2147483647\n')
  await mustTool(target, 'VerifiableProducer', `--topic input --max-messages ${INTEGERS} --command-config ${config}`)
}

/** The committed integers of each partition, in order. */
async function drain(target: Target, topic: string, most: number): Promise<number[][]> {
  const args = `--topic ${topic} --from-beginning --isolation-level read_committed --max-messages ${most} --timeout-ms 8000`
  const lines = (await mustTool(target, 'consumer.ConsoleConsumer', `${args} --formatter-property print.partition=true`)).stdout
  const partitions = Array.from({ length: PARTITIONS }, (): number[] => [])
  for (const [, partition, integer] of lines.matchAll(/^Partition:(\d+)\t(\d+)$/gm))
    partitions[Number(partition)]!.push(Number(integer))
  return partitions
}

/** Reads the committed integers of partition 0 while they are written, through every restart of the broker. */
function readAlong(target: Target, count: number): AsyncDisposable & { readonly integers: Promise<number[]> } {
  const controller = new AbortController()
  const args = `--topic output --partition 0 --offset earliest --isolation-level read_committed --max-messages ${count}`
  const integers = command(target, 'consumer.ConsoleConsumer', args)
    .then((words) => runCommand(words, { signal: controller.signal, timeoutMs: TIMEOUT_MS }))
    .then(({ stdout }) => stdout.split('\n').filter(Boolean).map(Number))
  return {
    integers,
    async [Symbol.asyncDispose]() {
      controller.abort()
      await integers
    },
  }
}

/** Runs the copiers until each has ended by itself, and kills one, or the broker, whenever they have got on by a share of the integers. */
async function copyUnderFire(target: Target): Promise<void> {
  const copiers = Array.from({ length: COPIERS }, (_, number) => new Copier(target, `copier-${number}`))
  let bounced = 0
  const deadline = performance.now() + TIMEOUT_MS
  try {
    for (;;) {
      const progress = copiers.reduce((sum, { copied }) => sum + copied, 0)
      const due = bounced < BOUNCES && progress >= (INTEGERS * (bounced + 1)) / (BOUNCES + 1)
      const busy = copiers.filter((copier) => copier.busy)
      const broker = bounced % 3 === 2
      if (due && (broker || busy.length > 0)) {
        bounced++
        await sleep(randomInt(150)) // anywhere in a transaction
        if (broker) await target.crash()
        else busy[randomInt(busy.length)]!.kill()
      }
      for (const copier of copiers) copier.check()
      if (copiers.every((copier) => copier.done)) break
      if (performance.now() > deadline)
        throw new Error(
          `${progress} of ${INTEGERS} integers copied after ${bounced} bounces, then it took too long:\n${copiers
            .map((copier) => copier.lastWords())
            .join('\n')}`,
        )
      await sleep(10)
    }
  } finally {
    for (const copier of copiers) copier.kill()
  }
  if (bounced < BOUNCES) throw new Error(`only ${bounced} of ${BOUNCES} bounces took place: it takes more integers`)
}

/** One transactional id, and the processes that have it in turn. */
class Copier {
  readonly #target: Target
  readonly #id: string
  #life = new AbortController()
  #copiedBefore = 0
  #copiedNow = 0
  #lines: string[] = []
  #ended: CommandResult | undefined

  constructor(target: Target, id: string) {
    this.#target = target
    this.#id = id
    this.#start()
  }

  /** Integers in transactions that it says to have committed. */
  get copied(): number {
    return this.#copiedBefore + this.#copiedNow
  }

  /** It has committed something in this life, and has not ended. */
  get busy(): boolean {
    return this.#copiedNow > 0 && !this.#life.signal.aborted && this.#ended === undefined
  }

  /** It has ended by itself, with all copied that it found. */
  get done(): boolean {
    return this.#ended?.code === 0
  }

  /** SIGKILL; check() starts the next process when this one is gone. */
  kill(): void {
    this.#life.abort()
  }

  /** Starts a killed one again. Throws if it failed. */
  check(): void {
    if (this.#ended === undefined || this.done) return
    if (!this.#life.signal.aborted) throw new Error(`${this.#id} failed:\n${this.lastWords()}`)
    this.#start()
  }

  lastWords(): string {
    return [this.#id, ...this.#lines.slice(-3), this.#ended?.stderr.slice(-3000) ?? ''].join('\n')
  }

  #start(): void {
    const life = new AbortController()
    this.#life = life
    this.#ended = undefined
    this.#copiedBefore += this.#copiedNow
    this.#copiedNow = 0
    const args = [
      ...['--broker-list', this.#target.bootstrapServers, '--transactional-id', this.#id, '--consumer-group', 'copiers'],
      ...[
        '--input-topic',
        'input',
        '--input-partition',
        '-1',
        '--output-topic',
        'output',
        '--group-mode',
        '--use-group-metadata',
      ],
      ...['--transaction-size', `${TRANSACTION_SIZE}`, '--transaction-timeout', `${TRANSACTION_TIMEOUT_MS}`],
      '--enable-random-aborts',
    ]
    const onLine = (line: string) => {
      this.#lines.push(line)
      this.#copiedNow = Number(/"totalProcessed":(\d+)/.exec(line)?.[1] ?? this.#copiedNow)
    }
    void javaCommand('org.apache.kafka.tools.TransactionalMessageCopier', args, TOOL_JVM)
      .then((command) => runCommand(command, { signal: life.signal, onLine, timeoutMs: TIMEOUT_MS }))
      .then((result) => {
        this.#ended = result
      })
  }
}

async function command(target: Target, name: string, args: string): Promise<string[]> {
  const words = ['--bootstrap-server', target.bootstrapServers, ...args.split(' ')]
  return await javaCommand(`org.apache.kafka.tools.${name}`, words, TOOL_JVM)
}

async function mustTool(target: Target, name: string, args: string): Promise<CommandResult> {
  return await mustRun(await command(target, name, args), { timeoutMs: TIMEOUT_MS })
}

/** Says what is missing, what is there twice, and where the order first differs. */
function requireSame(what: string, actual: readonly number[], expected: readonly number[]): void {
  const there = new Set(actual)
  const missing = expected.filter((integer) => !there.has(integer))
  const first = expected.findIndex((integer, index) => actual[index] !== integer)
  if (first === -1 && actual.length === expected.length) return
  const where = first === -1 ? expected.length : first
  throw new Error(
    `${what}: ${actual.length} integers for ${expected.length}, ${actual.length - there.size} of them again, ${missing.length} missing ` +
      `(${missing.slice(0, 5)}); the first difference is at ${where}: ${actual.slice(where, where + 3)} for ${expected.slice(where, where + 3)}`,
  )
}
