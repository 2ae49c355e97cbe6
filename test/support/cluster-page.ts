// Runs the commands that docs/cluster.md shows. Blocks of ```bash are run, what a ```text block behind them says is what they must print,
// with `…` for anything; ```sh blocks are for the reader's own machines.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { environment, root } from './broker-process.ts'
import { eventually } from './eventually.ts'

export interface PageBlock {
  readonly language: string
  readonly text: string
  readonly line: number
}

export async function clusterPageBlocks(): Promise<PageBlock[]> {
  const page = await readFile(join(root, 'docs', 'cluster.md'), 'utf8')
  return [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: text, index }) => ({
    language,
    text,
    line: page.slice(0, index).split('\n').length + 1,
  }))
}

/** `etcd`: host:port of a member; commands that ask it are left out where there is none. */
export async function runClusterPage(bootstrapServers: string, etcd: string | undefined): Promise<void> {
  const blocks = await clusterPageBlocks()
  for (const [i, { language, text, line }] of blocks.entries()) {
    if (language !== 'bash' || /moldau start/.test(text) || (etcd === undefined && /etcd:/.test(text))) continue
    const adapt = (shown: string) =>
      shown
        .replaceAll('etcd://localhost:2379', `etcd://${etcd}`)
        .replaceAll('localhost:2379', `${etcd}`)
        .replaceAll('localhost:9092', bootstrapServers)
    const expected = blocks[i + 1]?.language === 'text' ? adapt(blocks[i + 1].text) : undefined
    // A cluster that has just been changed may need a moment.
    const attempt = async () => {
      const { code, output } = await shell(adapt(text))
      assert.ok(code === 0, `docs/cluster.md:${line}: ${text}ended with ${code}:\n${output}`)
      if (expected !== undefined)
        assert.match(plain(output), patternOf(expected), `docs/cluster.md:${line}: ${text}printed\n${output}`)
    }
    await (/--create/.test(text) ? attempt() : eventually(attempt))
  }
}

function shell(script: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: root, env: environment() })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}

/** Columns are as wide as what stands in them. */
const plain = (text: string) =>
  text
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/ ?\n ?/g, '\n')
    .trim()

function patternOf(expected: string): RegExp {
  const literal = plain(expected).replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  return new RegExp(`^${literal.replaceAll(' …', '(?: .*)?').replaceAll('…', '.*')}$`, 'm')
}
