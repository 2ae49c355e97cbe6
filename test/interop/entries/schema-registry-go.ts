// franz-go's registry client, github.com/twmb/franz-go/pkg/sr (Go), driven by a program of ours.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheDirectory } from '../apache-kafka.ts'
import { mustRun, runCommand } from '../command.ts'
import { startRegistry } from '../registry-process.ts'
import type { Suite } from '../suite.ts'

const VERSION = 'v1.8.0'
const directory = cacheDirectory(`franz-go-sr-${VERSION}`)
const source = fileURLToPath(new URL('../go/schema_registry_cases.go', import.meta.url))
const BUILD_TIMEOUT_MS = 600_000

export const suite: Suite = {
  config: { 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'main.go'), await readFile(source))
    await writeFile(join(directory, 'go.mod'), 'module interop\n\ngo 1.24\n')
    await mustRun(['go', 'get', `github.com/twmb/franz-go/pkg/sr@${VERSION}`], { cwd: directory, timeoutMs: BUILD_TIMEOUT_MS })
    await mustRun(['nice', 'go', 'build', '-o', 'cases', '.'], { cwd: directory, timeoutMs: BUILD_TIMEOUT_MS })
  },

  async *run(target, only) {
    await using registry = await startRegistry(target, 'schemas-go')
    const { output } = await runCommand([join(directory, 'cases'), registry.url])
    const lines = [...output.matchAll(/^(pass|fail) ([^|\n]+?)(?: \| (.*))?$/gm)]
    for (const [, outcome, name, detail] of lines) {
      if (only.test(name!)) yield { name: name!, outcome: outcome as 'pass' | 'fail', ...(detail !== undefined && { detail }) }
    }
    if (lines.length === 0) yield { name: 'the program runs', outcome: 'fail', detail: output.slice(-2000) }
  },
}
