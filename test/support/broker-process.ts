// A broker as people run it: a process of its own on a free port. Ours, started through bin/moldau, unless
// TEST_BROKER=apache-kafka asks for Apache Kafka in its place: that is how we know that a test asks for what Kafka does.

import { type ChildProcess, spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const againstKafka = process.env['TEST_BROKER'] === 'apache-kafka'

/** Ours names the port that it serves, Kafka was told which. */
const READY = /Kafka Server started(?:: moldau \S+, node \d+ on \S+:(\d+), data in .+, ready in \d+ ms)?/
/** A machine busy with other tests may take a while. */
const READY_WITHIN_MS = { ours: 30_000, apacheKafka: 120_000 }

export interface BrokerProcess {
  readonly bootstrapServers: string
  readonly port: number
  readonly dataDirectory: string
  readonly child: ChildProcess
  /** All it has written so far. */
  output(): string
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** SIGTERM, and waits. Resolves with the exit code. */
  stop(): Promise<number | null>
}

export interface BrokerProcessOptions {
  /** 0, the default, picks a free one. */
  readonly port?: number
  /** Keys of server.properties. */
  readonly config?: Readonly<Record<string, string>>
  /** More arguments to `moldau start`. */
  readonly args?: readonly string[]
  /** Apache Kafka in its place, which ignores `args`. Default: what TEST_BROKER says. */
  readonly apacheKafka?: boolean
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves when the broker serves; rejects with what it wrote if it ends before that. */
export async function startBrokerProcess(dataDirectory: string, options: BrokerProcessOptions = {}): Promise<BrokerProcess> {
  const { command, args, port } = await commandLine(dataDirectory, options)
  const readyWithinMs = READY_WITHIN_MS[(options.apacheKafka ?? againstKafka) ? 'apacheKafka' : 'ours']
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: root, env: { ...environment(), ...options.env } })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  let output = ''
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  void exited.then(() => process.off('exit', killWithUs))
  const match = await new Promise<RegExpExecArray>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`no broker within ${readyWithinMs} ms:\n${output}`))
    }, readyWithinMs)
    const read = (chunk: Buffer) => {
      output += chunk
      const ready = READY.exec(output)
      if (ready === null) return
      clearTimeout(timer)
      resolve(ready)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    void exited.then((code) => {
      clearTimeout(timer)
      reject(new Error(`the broker ended with ${code}:\n${output}`))
    })
  })
  const servedPort = match[1] === undefined ? port : Number(match[1])
  return {
    bootstrapServers: `127.0.0.1:${servedPort}`,
    port: servedPort,
    dataDirectory,
    child,
    output: () => output,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    stop() {
      child.kill('SIGTERM')
      return exited
    },
  }
}

/** Programs that ask the machine for `node` get the one that runs this test, and do not take themselves for a part of it. */
export function environment(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return { ...env, PATH: `${dirname(process.execPath)}:${env['PATH']}` }
}

async function commandLine(dataDirectory: string, options: BrokerProcessOptions) {
  const { port = 0, config = {}, args = [], apacheKafka = againstKafka } = options
  if (apacheKafka) return (await import('./apache-kafka-command.ts')).apacheKafkaCommand(dataDirectory, port, config)
  const settings = Object.entries(config).flatMap(([key, value]) => ['--set', `${key}=${value}`])
  const moldau = join(root, 'bin', 'moldau')
  return {
    command: process.execPath,
    args: [moldau, 'start', '--port', `${port}`, '--data-dir', dataDirectory, ...settings, ...args],
    port,
  }
}
