// Runs one program of somebody else to its end and hands back what it said.

import { spawn } from 'node:child_process'

export interface CommandOptions {
  /** Written to its standard input, which is closed behind it. */
  readonly input?: string | Buffer
  readonly cwd?: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** After this it is killed, and the result says so. */
  readonly timeoutMs?: number
  /** Each line of standard output, as it comes. */
  readonly onLine?: (line: string) => unknown
  /** Ends it early, with SIGKILL. */
  readonly signal?: AbortSignal
}

export interface CommandResult {
  /** null if a signal ended it. */
  readonly code: number | null
  readonly timedOut: boolean
  readonly stdout: string
  readonly stderr: string
  /** Standard output and standard error as they came. */
  readonly output: string
}

const DEFAULT_TIMEOUT_MS = 60_000
/** Suites can be talkative: only the newest part of what they say is kept. */
const KEPT_CHARACTERS = 8_000_000

/** Rejects only if the program cannot be started: an exit code is for the caller to judge. It and its children end with the time limit. */
export function runCommand([command, ...args]: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command!, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      // A group of its own: a test runner's children go with it.
      detached: true,
    })
    const kill = (signal: NodeJS.Signals) => {
      if (child.pid === undefined || child.exitCode !== null) return
      try {
        process.kill(-child.pid, signal)
      } catch {} // it has just ended
    }
    const killWithParent = () => kill('SIGKILL')
    process.once('exit', killWithParent)
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      kill('SIGKILL')
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
    options.signal?.addEventListener('abort', () => kill('SIGKILL'), { once: true })
    let stdout = ''
    let stderr = ''
    let output = ''
    let line = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      stdout = (stdout + chunk).slice(-KEPT_CHARACTERS)
      output = (output + chunk).slice(-KEPT_CHARACTERS)
      if (options.onLine === undefined) return
      const lines = (line + chunk).split('\n')
      line = lines.pop()!
      lines.forEach(options.onLine)
    })
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-KEPT_CHARACTERS)
      output = (output + chunk).slice(-KEPT_CHARACTERS)
    })
    child.stdin?.on('error', () => {}) // it ended without reading all of it: its exit code says why
    child.stdin?.end(options.input)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      process.off('exit', killWithParent)
      resolve({ code, timedOut, stdout, stderr, output })
    })
  })
}

/** As runCommand, for steps that have to succeed: rejects with the end of what the program said. */
export async function mustRun(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const result = await runCommand(command, options)
  if (result.code === 0) return result
  const why = result.timedOut ? 'took too long' : `ended with ${result.code}`
  throw new Error(`${command.join(' ')} ${why}:\n${result.output.slice(-4000)}`)
}
