// node-rdkafka's end-to-end specs (JavaScript over librdkafka), built against the librdkafka that the tests of librdkafka are built from.

import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { cacheDirectory, javaCommand } from '../apache-kafka.ts'
import { mustRun, runCommand } from '../command.ts'
import { librdkafka } from '../librdkafka-source.ts'
import type { Suite } from '../suite.ts'

const VERSION = '3.6.1'
const TOPICS = ['test', 'test2', 'test3', 'test4', 'test5', 'test6']
const directory = cacheDirectory(`node-rdkafka-${VERSION}`)
const installed = join(directory, 'node_modules', 'node-rdkafka')
const BUILD_TIMEOUT_MS = 900_000
const FILE_TIMEOUT_MS = 180_000
/** The machine's own Node, whose headers npm knows: `npm run` puts the pinned one in front. */
const PATH = process.env['PATH']!.split(delimiter)
  .filter((entry) => !entry.includes('node_modules'))
  .join(delimiter)

/** A line of mocha's json-stream reporter. */
type Event =
  | readonly [event: 'start' | 'end']
  | readonly [event: 'pass' | 'fail', test: { readonly fullTitle: string; readonly err?: string }]

export const suite: Suite = {
  config: { 'auto.create.topics.enable': 'true', 'num.partitions': '1', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    const { sources } = await librdkafka()
    if (existsSync(join(installed, 'build', 'Release', 'node-librdkafka.node'))) return
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'package.json'), '{ "private": true }\n')
    const env = {
      PATH,
      BUILD_LIBRDKAFKA: '0',
      CXXFLAGS: sources.map((path) => `-I${path}`).join(' '),
      LDFLAGS: sources.map((path) => `-L${path} -Wl,-rpath,${path}`).join(' '),
    }
    await mustRun(['nice', 'npm', 'install', `node-rdkafka@${VERSION}`, 'mocha@10', '--no-fund', '--no-audit'], {
      cwd: directory,
      env,
      timeoutMs: BUILD_TIMEOUT_MS,
    })
  },

  async *run(target, only) {
    for (const topic of TOPICS) {
      const args = ['--bootstrap-server', target.bootstrapServers, '--create', '--topic', topic, '--partitions', '1']
      await mustRun(await javaCommand('org.apache.kafka.tools.TopicCommand', args))
    }
    const mocha = [join(directory, 'node_modules', '.bin', 'mocha'), '--exit', '--timeout', '60000', '--reporter', 'json-stream']
    const env = { PATH, KAFKA_HOST: target.bootstrapServers }
    // One process a file: a file that hangs takes only its own cases with it.
    for (const file of (await readdir(join(installed, 'e2e'))).filter((name) => name.endsWith('.spec.js')).sort()) {
      // Some of its clients keep the process from ending.
      const over = new AbortController()
      const { stdout, output, timedOut } = await runCommand([...mocha, `e2e/${file}`], {
        cwd: installed,
        env,
        timeoutMs: FILE_TIMEOUT_MS,
        onLine: (line) => line.startsWith('["end"') && over.abort(),
        signal: over.signal,
      })
      let ended = false
      for (const line of stdout.split('\n').filter((line) => line.startsWith('["'))) {
        const [event, test] = JSON.parse(line) as Event
        if (event === 'end') ended = true
        if ((event !== 'pass' && event !== 'fail') || !only.test(test.fullTitle)) continue
        const name = test.fullTitle
        yield { name, outcome: event === 'pass' ? 'pass' : 'fail', ...(test.err !== undefined && { detail: test.err }) }
      }
      const why = timedOut ? `took over ${FILE_TIMEOUT_MS / 1000} s` : 'broke off'
      if (!ended) yield { name: `${file} ends`, outcome: 'fail', detail: `${why}\n${output.slice(-1000)}` }
    }
  },
}
