// librdkafka beside our own client, where its Python client has been installed (`npm run interop -- confluent-kafka` does).

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { cacheDirectory } from '../interop/apache-kafka.ts'
import type { Operation } from './history.ts'
import type { Outcome, Recorder } from './recorder.ts'

const PYTHON = join(cacheDirectory('python-confluent-kafka-2.16.1'), 'bin', 'python')
const SCRIPT = fileURLToPath(new URL('librdkafka_load.py', import.meta.url))

export const hasLibrdkafka = (): boolean => existsSync(PYTHON)

type Line = Partial<Operation> & { readonly id: number; readonly start?: number; readonly end?: number }

export interface LibrdkafkaLoad {
  /** Writers first; resolves when all has ended and is recorded. */
  stop(): Promise<void>
  abandon(): void
}

export function startLibrdkafka(
  recorder: Recorder,
  options: { readonly bootstrapServers: string; readonly topic: string; readonly partitions: number },
): LibrdkafkaLoad {
  const { bootstrapServers, topic, partitions } = options
  const args = [SCRIPT, bootstrapServers, topic, String(partitions), `${topic}-lt`]
  const child = spawn(PYTHON, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const open = new Map<number, (result: Outcome, endNs?: number) => void>()
  const lines = createInterface(child.stdout)
  lines.on('line', (text) => {
    const { id, process, f, start, end, ...result } = JSON.parse(text) as Line
    if (f !== undefined) open.set(id, recorder.begin(process!, f, start))
    else {
      open.get(id)?.(result as Outcome, end)
      open.delete(id)
    }
  })
  const ended = new Promise<void>((resolve, reject) => {
    lines.once('close', resolve)
    child.once('error', reject)
  })
  ended.catch(() => {}).finally(() => process.off('exit', killWithUs))
  return {
    async stop() {
      child.stdin.end('stop\n')
      await ended
    },
    abandon: killWithUs,
  }
}
