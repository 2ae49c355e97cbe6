// A Node client's row: @platformatic/kafka in a process of its own, on the Node that runs the benchmark.

import { fileURLToPath } from 'node:url'
import { mustRun } from '../../test/interop/command.ts'

const program = fileURLToPath(new URL('node-client-program.ts', import.meta.url))
const TIMEOUT_MS = 300_000

export interface NodeClientLoad {
  readonly kind: 'node-produce' | 'node-consume'
  readonly address: string
  readonly topic: string
  readonly acks: string
  readonly records: number
  readonly size: number
}

/** Seconds from the first record to the last. */
export async function runNodeClient(load: NodeClientLoad, signal: AbortSignal): Promise<{ readonly seconds: number }> {
  const { stdout } = await mustRun([process.execPath, program, JSON.stringify(load)], { timeoutMs: TIMEOUT_MS, signal })
  return JSON.parse(stdout) as { seconds: number }
}
