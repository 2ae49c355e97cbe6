// Programs of a seed that run as processes of their own and report on standard output, one JSON value a line.

import { type ChildProcess, spawn } from 'node:child_process'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { onFailure } from './on-failure.ts'

export interface Program<Event> {
  readonly child: ChildProcess
  readonly events: Event[]
  /** Resolves with the exit code, null if a signal ended it. */
  readonly ended: Promise<number | null>
  /** SIGKILL, and waits. */
  kill(): Promise<void>
}

/** Starts test/seeds/programs/`name`.ts; killed when the test ends. What it says on standard error comes out if the test fails. */
export function startProgram<Event>(t: TestContext, name: string, args: readonly string[]): Program<Event> {
  const file = fileURLToPath(new URL(`../seeds/programs/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const events: Event[] = []
  let [rest, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) events.push(JSON.parse(line))
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  t.after(kill)
  onFailure(t, () => `${name}.ts said: ${errors}`)
  return { child, events, ended, kill }
}
