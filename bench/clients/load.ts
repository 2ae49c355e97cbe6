// Builds our Go load generator, once per change of its source, and runs it: clients/load/ says what it can do.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheDirectory } from '../../test/interop/apache-kafka.ts'
import { mustRun } from '../../test/interop/command.ts'

const source = fileURLToPath(new URL('load', import.meta.url))
const BUILD_TIMEOUT_MS = 600_000
/** The program gives up on its own before that. */
const RUN_TIMEOUT_MS = 400_000

export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
}

/** What each command prints. */
export interface LoadResults {
  create: { readonly seconds: number }
  produce: { readonly records: number; readonly seconds: number; readonly connectSeconds?: number; readonly latency?: Latency }
  consume: { readonly records: number; readonly seconds: number }
  flow: { readonly records: number; readonly seconds: number; readonly produceSeconds: number }
  latency: { readonly records: number; readonly seconds: number; readonly latency: Latency }
  first: { readonly acknowledgedAtMs: number }
  evict: { readonly files: number }
}

export type Flags = Readonly<Record<string, string | number | undefined>>

/** Runs one command to its end. Rejects with what it said if it fails. */
export async function runLoad<C extends keyof LoadResults>(
  command: C,
  flags: Flags,
  signal?: AbortSignal,
): Promise<LoadResults[C]> {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined)
  const args = given.flatMap(([name, value]) => [`-${name}`, String(value)])
  const { stdout } = await mustRun([await loadProgram(), command, ...args], {
    timeoutMs: RUN_TIMEOUT_MS,
    ...(signal && { signal }),
  })
  return JSON.parse(stdout) as LoadResults[C]
}

let built: Promise<string> | undefined

/** The path of the program. Needs Go. */
export function loadProgram(): Promise<string> {
  built ??= build()
  return built
}

async function build(): Promise<string> {
  const files = (await readdir(source)).filter((file) => /\.(go|mod|sum)$/.test(file)).sort()
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${file}\n`).update(await readFile(join(source, file)))
  const directory = cacheDirectory('bench-load')
  const program = join(directory, hash.digest('hex').slice(0, 16))
  if (existsSync(program)) return program
  await mkdir(directory, { recursive: true })
  const aside = `${program}.${process.pid}`
  await mustRun(['go', 'build', '-o', aside, '.'], { cwd: source, timeoutMs: BUILD_TIMEOUT_MS })
  await rename(aside, program)
  return program
}
