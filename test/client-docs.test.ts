// What docs/client.md shows is run here, in order, each program in a process of its own against one broker; a block of output (```text)
// says what the program before it printed, and `…` in it stands for anything. Links of the client's pages lead somewhere.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { startBroker, type TestBroker } from '../src/testing/start-broker.ts'
import { runCommand } from './interop/command.ts'
import { root } from './support/broker-process.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const PAGES = ['client.md', 'from-kafkajs.md', 'client-features.md']
const TIMEOUT_MS = 60_000
const page = await readFile(join(root, 'docs', 'client.md'), 'utf8')
const client = pathToFileURL(join(root, 'src', 'client', 'client.ts')).href

let broker: TestBroker
let directory: { readonly path: string } & AsyncDisposable

before(async () => {
  broker = await startBroker()
  directory = await temporaryDirectory()
  await writeFile(join(directory.path, 'package.json'), '{ "type": "module" }\n')
  await symlink(join(root, 'node_modules'), join(directory.path, 'node_modules'))
})
after(async () => {
  await directory[Symbol.asyncDispose]()
  await broker.close()
})

for (const [, program, name, output] of page.matchAll(/```ts\n(\/\/ (\S+)\n[\s\S]*?)```\n\n```text\n([\s\S]*?)```/g)) {
  test(`docs/client.md: ${name}`, async () => {
    const path = join(directory.path, name)
    await writeFile(
      path,
      program.replaceAll("'moldau/client'", `'${client}'`).replaceAll('localhost:9092', broker.bootstrapServers),
    )
    const run = await runCommand([process.execPath, path], { cwd: directory.path, timeoutMs: TIMEOUT_MS })
    const literal = output.trim().replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    assert.match(run.stdout.trim(), new RegExp(`^${literal.replaceAll('…', '.*')}$`), run.output)
  })
}

test('every program of docs/client.md is run', () => {
  assert.equal([...page.matchAll(/^```ts$/gm)].length, [...page.matchAll(/^```text$/gm)].length)
})

test("links of the client's pages lead somewhere", async () => {
  for (const name of PAGES) {
    const text = await readFile(join(root, 'docs', name), 'utf8')
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      assert.ok(existsSync(join(root, 'docs', target)), `docs/${name} links to ${target}`)
    }
  }
})
