// Everything that README.md shows is run here, in order: its commands by a shell, its programs by Node, against one broker on a free
// port. A block of output (```text) says what the block before it printed; `…` in it stands for anything.
// What a reader does once on his own machine (clone, install, the tests themselves) stands in ```sh blocks and is not run.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { environment, root } from './support/broker-process.ts'
import { eventually } from './support/eventually.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

interface Block {
  readonly language: string
  readonly text: string
  readonly line: number
}

/** Whatever does not end so soon after Ctrl-C hangs. */
const ENDS_WITHIN_MS = 15_000
const NOT_RUN = /^(git clone|cd|npm (install|pack|test|run check))\b/
const readme = await readFile(join(root, 'README.md'), 'utf8')
const blocks = codeBlocks(readme)

/** Where the reader's files lie, with everything installed. */
let directory: { readonly path: string } & AsyncDisposable
let broker: Shell | undefined
let bootstrapServers = 'localhost:9092'

before(async () => {
  directory = await temporaryDirectory()
  await installInto(directory.path)
})
after(async () => {
  await broker?.interrupt()
  await directory[Symbol.asyncDispose]()
})

for (const [i, block] of blocks.entries()) {
  if (block.language === 'text') continue
  const next = blocks[i + 1]
  const expected = next?.language === 'text' ? next.text : undefined
  const title = `README.md:${block.line} ${block.text.split('\n')[0]}`
  if (block.language === 'bash') {
    test(title, () => (/\bnpm start\b/.test(block.text) ? startAsShown(block.text, expected) : runAsShown(block.text, expected)))
  } else if (block.language === 'sh') {
    test(title, () => {
      for (const line of block.text.trim().split('\n')) assert.match(line, NOT_RUN)
    })
  } else {
    test(title, () => writeAsNamed(block))
  }
}

test('every file that the README links to exists', async () => {
  for (const [, target] of readme.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
    const names = await readdir(join(root, target!, '..'))
    assert.ok(names.includes(target!.replace(/\/$/, '').split('/').at(-1)!), `README.md links to ${target}`)
  }
})

/** A program names its file in its first line. */
async function writeAsNamed({ text, line }: Block): Promise<void> {
  const name = /^(?:\/\/|#) (\S+)\n/.exec(text)?.[1]
  assert.ok(name !== undefined, `README.md:${line} does not begin with the name of its file`)
  await writeFile(join(directory.path, name), withAddress(text))
}

async function runAsShown(script: string, expected: string | undefined): Promise<void> {
  const shell = new Shell(withAddress(script), directory.path)
  if (expected === undefined) {
    assert.equal(await shell.ended, 0, `${script}ended with\n${shell.stdout}${shell.stderr}`)
    return
  }
  const pattern = toPattern(expected)
  await eventually(() => pattern.test(plain(shell.stdout)) || !shell.running)
  // Whatever goes on after it has shown what it should is ended as a reader would end it.
  await shell.interrupt()
  assert.match(plain(shell.stdout), pattern, `${script}printed\n${shell.stdout}${shell.stderr}instead of\n${expected}`)
}

/** The first broker stays for all that follows; the others show that they start. */
async function startAsShown(script: string, expected: string | undefined): Promise<void> {
  const own = ['--port', '0', '--data-dir', join(directory.path, broker === undefined ? 'data' : 'more-data')]
  const arguments_ = `${/ -- /.test(script) ? '' : ' --'} ${own.join(' ')}`
  const inPlace = script.trim().replaceAll('server.properties', join(directory.path, 'server.properties'))
  const shell = new Shell(`${inPlace}${arguments_}`, root)
  const ready = /Kafka Server started: .* on localhost:(\d+),/
  try {
    await eventually(() => assert.match(shell.stdout + shell.stderr, ready))
  } finally {
    if (broker !== undefined) await shell.interrupt()
  }
  if (broker === undefined) {
    broker = shell
    bootstrapServers = `localhost:${ready.exec(shell.stdout)![1]}`
  }
  if (expected !== undefined) assert.match(plain(shell.stdout), toPattern(withAddress(expected)))
}

/** A script under way, with its children in a group of their own. */
class Shell {
  readonly ended: Promise<number | null>
  stdout = ''
  stderr = ''
  readonly #child: ChildProcess

  constructor(script: string, cwd: string) {
    // The one thing that is other than shown: groups form without the wait for more members.
    const env = { ...environment(), KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0' }
    this.#child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd, env, detached: true })
    this.#child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.stdout += text
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.stderr += text
    })
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', resolve)
    })
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Ctrl-C, and waits. Rejects if that did not end it. */
  async interrupt(): Promise<void> {
    if (this.running) process.kill(-this.#child.pid!, 'SIGINT')
    const timer = setTimeout(() => process.kill(-this.#child.pid!, 'SIGKILL'), ENDS_WITHIN_MS)
    await this.ended
    clearTimeout(timer)
    assert.notEqual(this.#child.signalCode, 'SIGKILL', `Ctrl-C did not end it:\n${this.stdout}${this.stderr}`)
  }
}

function codeBlocks(markdown: string): Block[] {
  const found: Block[] = []
  for (const match of markdown.matchAll(/^( *)```(\w+)\n([\s\S]*?)^ *```$/gm)) {
    const [, indent, language, text] = match as unknown as [string, string, string, string]
    const line = markdown.slice(0, match.index).split('\n').length + 1
    found.push({ language, line, text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), '') })
  }
  return found
}

const withAddress = (text: string) => text.replaceAll('localhost:9092', bootstrapServers)

/** Columns are as wide as what stands in them. */
const plain = (text: string) =>
  text
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/ ?\n ?/g, '\n')
    .trim()

/** The lines of `expected`, one after another; npm and node --test say more before and behind. */
function toPattern(expected: string): RegExp {
  const literal = plain(expected).replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  return new RegExp(`^${literal.replaceAll(' …', '(?: .*)?').replaceAll('…', '.*')}$`, 'm')
}

/** What the README has its reader install: our package as it is published, built into `path`, and the clients. */
async function installInto(path: string): Promise<void> {
  const modules = join(path, 'node_modules')
  const moldau = join(modules, 'moldau')
  await mkdir(moldau, { recursive: true })
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) await symlink(join(root, 'node_modules', name), join(modules, name))
  }
  await symlink(join(root, 'bin'), join(path, 'bin'))
  await writeFile(join(moldau, 'package.json'), await readFile(join(root, 'package.json')))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  // Types are the business of `npm run check`.
  const build = [compiler, '-p', 'tsconfig.build.json', '--noCheck', '--outDir', join(moldau, 'dist')]
  await promisify(execFile)(process.execPath, build, { cwd: root }).catch((error) => {
    throw new Error(`the package does not build:\n${error.stdout}${error.stderr}`)
  })
}
