// `moldau start …` with whatever arguments a test gives it, as a process: brokers of a cluster, or several at once.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { environment, root } from './broker-process.ts'

/** A machine busy with other tests may take a while. */
const READY_WITHIN_MS = 60_000

export interface MoldauProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** `host:port` of each broker, separated by commas. */
  readonly bootstrapServers: string
  /** All it has written so far. */
  output(): string
  /** Ids of the processes that it has started. */
  children(): Promise<number[]>
  /** Sends a signal and waits for the end. Resolves with the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

/** Resolves when it serves; rejects with what it wrote if it ends before that. */
export async function startMoldau(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<MoldauProcess> {
  const { child, output, ended } = launch(args, env)
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS)
  const where = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const ready = /Kafka Server started: moldau \S+, (?:node \d+|\d+ nodes) on (.*?), data in /.exec(output())
      if (ready !== null) resolve(ready[1])
    }
    child.stdout!.on('data', look)
    void ended.then((code) => reject(new Error(`moldau start ${args.join(' ')} ended with ${code}:\n${output()}`)))
  }).finally(() => clearTimeout(timer))
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  return {
    child,
    bootstrapServers: where.replaceAll(', ', ','),
    output,
    async children() {
      const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(child.pid)]).catch(() => ({
        stdout: '',
      }))
      return stdout.trim().split(/\s+/).filter(Boolean).map(Number)
    },
    end,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) await end('SIGTERM')
    },
  }
}

/** Runs `moldau …` to its end. */
export async function runMoldau(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number | null; readonly output: string }> {
  const { output, ended } = launch(args, env, [])
  return { code: await ended, output: output() }
}

function launch(args: readonly string[], env: NodeJS.ProcessEnv, command: readonly string[] = ['start']) {
  const child = spawn(process.execPath, [join(root, 'bin', 'moldau'), ...command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: root,
    env: { ...environment(), ...env },
  })
  let written = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      written += text
    })
  }
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const ended = new Promise<number | null>((resolve) =>
    child.once('close', (code) => {
      process.off('exit', killWithUs)
      resolve(code)
    }),
  )
  return { child, output: () => written, ended }
}
