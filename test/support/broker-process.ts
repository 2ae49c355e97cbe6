// A broker as people run it: a process of its own, started through bin/moldau on a free port, its data in a temporary directory.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const READY = /^Kafka Server started: moldau \S+, node (\d+) on (\S+):(\d+), data in (.+), ready in (\d+) ms$/m
/** A machine busy with other tests may take a while. */
const READY_WITHIN_MS = 30_000

export interface BrokerProcess {
  readonly bootstrapServers: string
  readonly port: number
  readonly dataDirectory: string
  /** All it has written so far. */
  readonly output: () => string
  readonly child: ChildProcess
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** SIGTERM, and waits. Resolves with the exit code. */
  stop(): Promise<number | null>
}

export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'moldau-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}

/** Rejects with what the broker wrote if it ends before it is ready. `arguments_` come behind the ones that are always given. */
export async function startBrokerProcess(dataDirectory: string, arguments_: readonly string[] = [], port = 0): Promise<BrokerProcess> {
  const child = spawn(
    process.execPath,
    [join(root, 'bin', 'moldau'), 'start', '--port', String(port), '--data-dir', dataDirectory, ...arguments_],
    { stdio: ['ignore', 'pipe', 'pipe'], cwd: root },
  )
  let output = ''
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  const ready = await new Promise<RegExpExecArray>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`no broker within ${READY_WITHIN_MS} ms:\n${output}`))
    }, READY_WITHIN_MS)
    const read = (chunk: Buffer) => {
      output += chunk
      const match = READY.exec(output)
      if (match !== null) {
        clearTimeout(timer)
        resolve(match)
      }
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    exited.then((code) => {
      clearTimeout(timer)
      reject(new Error(`the broker ended with ${code}:\n${output}`))
    })
  })
  return {
    bootstrapServers: `127.0.0.1:${ready[3]}`,
    port: Number(ready[3]),
    dataDirectory,
    output: () => output,
    child,
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
