// A process that serves until it is told otherwise, that is killed, paused and started again on what it left behind.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { environment } from '../support/broker-process.ts'
import { eventually } from '../support/eventually.ts'

export interface DaemonOptions {
  readonly name: string
  /** Asked at each start. */
  command(): readonly string[]
  environment?(): NodeJS.ProcessEnv
  /** Throws or answers false while it does not serve. */
  isReady(output: string): boolean | Promise<boolean>
  /** Takes all that it writes, one life after the other. */
  readonly logFile: string
}

/** A machine busy with other work may take a while. */
const READY_WITHIN_MS = 60_000
const STOPS_WITHIN_MS = 45_000

export class Daemon {
  readonly name: string
  isPaused = false
  /** How lives ended that nobody had asked to end. */
  readonly unexpected: string[] = []
  private readonly options: DaemonOptions
  private child: ChildProcess | undefined
  private ended: Promise<void> = Promise.resolve()
  private isEndAsked = false
  private readonly killWithUs = () => this.child?.kill('SIGKILL')

  constructor(options: DaemonOptions) {
    this.options = options
    this.name = options.name
    process.once('exit', this.killWithUs)
  }

  get isRunning(): boolean {
    return this.child !== undefined
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    if (this.child !== undefined) throw new Error(`${this.name} is running`)
    const { options } = this
    const [command, ...args] = options.command()
    const file = openSync(options.logFile, 'a')
    const from = readFileSync(options.logFile).length
    const child = spawn(command, args, { stdio: ['ignore', file, file], env: { ...environment(), ...options.environment?.() } })
    closeSync(file)
    this.child = child
    this.isEndAsked = false
    const written = () => readFileSync(options.logFile).subarray(from).toString('utf8')
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        if (!this.isEndAsked) this.unexpected.push(`${this.name} ended by itself (${how}): ${written().slice(-2000)}`)
        if (this.child === child) this.child = undefined
        resolve()
      }
      child.once('error', (error) => end(error.message))
      child.once('exit', (code, signal) => end(signal ?? `code ${code}`))
    })
    let last: unknown
    await eventually(
      async () => {
        if (this.child !== child) return true
        try {
          return await options.isReady(written())
        } catch (error) {
          last = error
          return false
        }
      },
      { what: `the start of ${this.name} (${(last as Error)?.message ?? 'silent'})`, withinMs: READY_WITHIN_MS },
    )
    if (this.child !== child) throw new Error(`${this.name} did not start: ${written().slice(-2000)}`)
  }

  /** Resolves when it is gone; at once if it was. */
  async kill(): Promise<void> {
    this.isEndAsked = true
    this.isPaused = false
    this.child?.kill('SIGKILL')
    await this.ended
  }

  /** As an operator stops it. Resolves with whether it went by itself in time; if not, it is killed. */
  async stop(withinMs = STOPS_WITHIN_MS): Promise<boolean> {
    this.isEndAsked = true
    let inTime = true
    const timer = setTimeout(() => {
      inTime = false
      this.child?.kill('SIGKILL')
    }, withinMs)
    this.child?.kill('SIGTERM')
    await this.ended
    clearTimeout(timer)
    return inTime
  }

  pause(): void {
    this.isPaused = true
    this.child?.kill('SIGSTOP')
  }

  resume(): void {
    this.isPaused = false
    this.child?.kill('SIGCONT')
  }

  /** No more of it. */
  async dispose(): Promise<void> {
    await this.kill()
    process.off('exit', this.killWithUs)
  }
}
