// rskafka's own integration tests (Rust), one process per test binary's case.

import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { cacheDirectory } from '../apache-kafka.ts'
import { mustRun, runCommand } from '../command.ts'
import type { CaseResult, Suite, Target } from '../suite.ts'

const VERSION = '0.6.0'
const directory = cacheDirectory(`rskafka-${VERSION}`)
const BUILD_TIMEOUT_MS = 1_800_000
const TESTS_TIMEOUT_MS = 600_000
const CARGO = ['nice', 'cargo', 'test', '--features', 'full', '--tests']

export const suite: Suite = {
  config: { 'auto.create.topics.enable': 'false', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    if (existsSync(join(directory, 'built'))) return
    if (!existsSync(directory)) await fetchCrate()
    await mustRun([...CARGO, '--no-run'], { cwd: directory, timeoutMs: BUILD_TIMEOUT_MS })
    await writeFile(join(directory, 'built'), '')
  },

  async *run(target, only) {
    for (const file of (await readdir(join(directory, 'tests'))).filter((name) =>
      /^(client|consumer|produce_consume|producer)\.rs$/.test(name),
    ))
      yield* runFile(file.replace('.rs', ''), target, only)
  },
}

/** The crate with its tests, as cargo unpacks it, with a version of its SASL library that today's compiler takes. */
async function fetchCrate(): Promise<void> {
  const aside = await mkdtemp(`${directory}-`)
  const manifest = `[package]\nname = "interop"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\nrskafka = "=${VERSION}"\n`
  await writeFile(join(aside, 'Cargo.toml'), manifest)
  await writeFile(join(aside, 'lib.rs'), '')
  await mustRun(['cargo', 'fetch'], { cwd: aside, timeoutMs: BUILD_TIMEOUT_MS })
  await rm(aside, { recursive: true })
  const registry = join(process.env['CARGO_HOME'] ?? join(homedir(), '.cargo'), 'registry', 'src')
  const [source] = (await readdir(registry)).map((index) => join(registry, index, `rskafka-${VERSION}`)).filter(existsSync)
  if (source === undefined) throw new Error(`cargo fetched no rskafka ${VERSION} into ${registry}`)
  const copy = await mkdtemp(`${directory}-`)
  await cp(source, copy, { recursive: true })
  // It asks for a compiler of its own.
  await rm(join(copy, 'rust-toolchain.toml'), { force: true })
  await mustRun(['cargo', 'update', '-p', 'rsasl'], { cwd: copy, timeoutMs: BUILD_TIMEOUT_MS })
  await rename(copy, directory)
}

async function* runFile(file: string, { bootstrapServers }: Target, only: RegExp): AsyncGenerator<CaseResult> {
  const env = { TEST_INTEGRATION: '1', TEST_BROKER_IMPL: 'kafka', KAFKA_CONNECT: bootstrapServers, RUST_BACKTRACE: '0' }
  const command = ['nice', 'cargo', 'test', '--features', 'full', '--test', file, '--', '--test-threads=2']
  const { output, timedOut } = await runCommand(command, { cwd: directory, env, timeoutMs: TESTS_TIMEOUT_MS })
  const outcomes = { ok: 'pass', FAILED: 'fail', ignored: 'skip' } as const
  for (const [, test, outcome] of output.matchAll(/^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)/gm)) {
    const name = `${file}::${test}`
    if (!only.test(name)) continue
    const detail = new RegExp(`---- ${test} stdout ----\\n([\\s\\S]{0,600})`).exec(output)?.[1]
    yield {
      name,
      outcome: outcomes[outcome as keyof typeof outcomes],
      ...(outcome === 'FAILED' && detail !== undefined && { detail }),
    }
  }
  if (timedOut || !/^test result:/m.test(output)) yield { name: `${file} ends`, outcome: 'fail', detail: output.slice(-1500) }
}
