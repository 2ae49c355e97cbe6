// Our schema registry as people run it alone: `moldau schema-registry` beside the broker under test, ours or Apache Kafka.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { environment, root } from '../support/broker-process.ts'
import type { Target } from './suite.ts'

const STARTED = /Schema registry started: .* on port (\d+)/
const STARTED_WITHIN_MS = 30_000

export interface RegistryProcess extends AsyncDisposable {
  readonly url: string
  /** All it has written so far. */
  output(): string
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Each with a topic and a group of its own unless told otherwise, so that suites do not see each other's schemas. */
export async function startRegistry({ bootstrapServers }: Target, topic: string): Promise<RegistryProcess> {
  const flags = ['--bootstrap-server', bootstrapServers, '--port', '0', '--host', '127.0.0.1', '--advertised-host', '127.0.0.1']
  const args = [join(root, 'bin', 'moldau'), 'schema-registry', ...flags, '--topic', topic, '--group-id', topic]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment() })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  void exited.then(() => process.off('exit', killWithUs))
  let output = ''
  const port = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the registry ${why}:\n${output}`))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      fail(`did not start within ${STARTED_WITHIN_MS} ms`)
    }, STARTED_WITHIN_MS)
    const read = (chunk: Buffer) => {
      output += chunk
      const match = STARTED.exec(output)
      if (match !== null) resolve(match[1]!)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    void exited.then(() => fail('ended'))
    exited.finally(() => clearTimeout(timer))
  })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    await exited
  }
  return { url: `http://127.0.0.1:${port}`, output: () => output, stop, [Symbol.asyncDispose]: () => stop() }
}
