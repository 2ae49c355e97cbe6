// Kafka's command line tools as a user runs them: bin/kafka-topics.sh and so on, each a process.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { againstKafka, environment, root } from './broker-process.ts'

/** A tool that takes longer hangs. */
const ENDS_WITHIN_MS = 30_000

export interface ToolResult {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

export interface RunningTool {
  readonly child: ChildProcess
  /** All it has written so far. */
  stdout(): string
  stderr(): string
  /** Complete lines of standard output. */
  lines(): string[]
  readonly ended: Promise<ToolResult>
  /** Ctrl-C, and waits. */
  interrupt(): Promise<ToolResult>
}

/** Runs `bin/<name>.sh` to its end with `input` on standard input. Rejects with what it said unless it ends with 0. */
export async function tool(name: string, args: readonly string[], input = ''): Promise<ToolResult> {
  const running = await startTool(name, args)
  running.child.stdin!.end(input)
  const timer = setTimeout(() => running.child.kill('SIGKILL'), ENDS_WITHIN_MS)
  const result = await running.ended
  clearTimeout(timer)
  if (result.code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`)
  return result
}

/** Starts `bin/<name>.sh` and leaves it running, standard input open. */
export async function startTool(name: string, args: readonly string[]): Promise<RunningTool> {
  const program = againstKafka
    ? await (await import('./apache-kafka-command.ts')).apacheKafkaTool(name, args)
    : { command: join(root, 'bin', `${name}.sh`), args }
  const child = spawn(program.command, program.args, { stdio: 'pipe', cwd: root, env: environment() })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  // A tool that ends before it has read all of its input is judged by its exit code.
  child.stdin.on('error', () => {})
  const ended = new Promise<ToolResult>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      process.off('exit', killWithUs)
      resolve({ stdout, stderr, code })
    })
  })
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    lines: () => stdout.split('\n').slice(0, -1),
    ended,
    interrupt() {
      child.kill('SIGINT')
      return ended
    },
  }
}
