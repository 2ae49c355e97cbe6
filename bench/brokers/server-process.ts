// Starts a server program that listens on a port it is told, and waits until it does.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../test/interop/apache-kafka.ts'
import type { RunningBroker, StartOptions } from './broker.ts'

const READY_WITHIN_MS = 30_000
const STOP_WITHIN_MS = 10_000
const KEPT_CHARACTERS = 20_000

/** @param commandLine of a port and a data directory */
export async function startServerProcess(
  { parent, port = 0 }: StartOptions,
  commandLine: (port: number, directory: string) => readonly string[],
): Promise<RunningBroker> {
  const directory = await mkdtemp(join(parent, 'server-'))
  const chosen = port === 0 ? (await freePorts(1))[0]! : port
  const [command, ...args] = commandLine(chosen, directory)
  const spawnedMs = performance.now()
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk).slice(-KEPT_CHARACTERS)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  let ended = false
  const exited = new Promise<void>((resolve) => {
    const end = () => {
      ended = true
      process.off('exit', killWithUs)
      resolve()
    }
    child.once('exit', end)
    child.once('error', (error) => {
      output += error.message
      end()
    })
  })
  const stop = async () => {
    const impatient = setTimeout(killWithUs, STOP_WITHIN_MS)
    child.kill('SIGTERM')
    await exited
    clearTimeout(impatient)
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  const deadline = spawnedMs + READY_WITHIN_MS
  while (!(await accepts(chosen))) {
    if (ended || performance.now() > deadline) {
      await stop()
      throw new Error(`${command} does not listen on ${chosen}:\n${output}`)
    }
    await sleep(10)
  }
  return { address: `127.0.0.1:${chosen}`, pid: child.pid!, directory, spawnedMs, stop }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
