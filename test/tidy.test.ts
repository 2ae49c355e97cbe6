// The repository lints itself: what no compiler checks and every newcomer would otherwise have to be told. Each rule is data
// or a function from a file to its complaints; a complaint says where, what, and what to do about it.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'

const EVERYTHING = 'everything'

/**
 * Which folders of src a folder may import, besides itself. What all stand on is free of the outside world, what wires the
 * parts together may import all of them, and no one imports that. Change it in a commit that says why.
 */
const LAYERS: Record<string, readonly string[] | typeof EVERYTHING> = {
  bytes: [],
  host: [],
  protocol: ['bytes'],
  config: [],
  log: ['bytes', 'protocol', 'host', 'config'],
  // The log is a port that coordinators declare.
  coordinators: ['bytes', 'protocol', 'config'],
  client: ['bytes', 'protocol', 'host', 'config'],
  cluster: ['bytes', 'host', 'protocol', 'config', 'log', 'client'],
  broker: ['bytes', 'host', 'protocol', 'config', 'log', 'coordinators', 'client', 'cluster'],
  'schema-registry': ['protocol', 'host', 'client', 'config'],
  connect: ['protocol', 'host', 'client', 'config'],
  streams: ['protocol', 'host', 'client', 'config'],
  cli: EVERYTHING,
  testing: EVERYTHING,
  sim: EVERYTHING,
}

/** The folders that touch the world. All others are given it as arguments: that is what makes the simulator possible. */
const WORLDLY = ['host', 'cli', 'testing']

/** What is of the world, and which port stands for it. */
const WORLD: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /\bDate\.now\b|\bnew Date\(\s*\)|(?<!\bnew )\bDate\(\)/g, instead: 'take a Clock (src/host/clock.ts)' },
  { pattern: /\bperformance\.(?:now|timeOrigin)\b|\bprocess\.hrtime\b/g, instead: 'take a Clock (src/host/clock.ts)' },
  { pattern: /\b(?:setTimeout|setInterval|setImmediate)\b/g, instead: 'take a Clock (src/host/clock.ts)' },
  { pattern: /\bMath\.random\b/g, instead: 'take a Random (src/host/random.ts)' },
  { pattern: /\bcrypto\.(?:random|getRandomValues|webcrypto)\w*/g, instead: 'take a Random (src/host/random.ts)' },
  {
    pattern: /\bimport\s*\{[^}]*\b(?:random\w+|webcrypto|getRandomValues)\b[^}]*\}\s*from\s*'(?:node:)?crypto'/g,
    instead: 'take a Random (src/host/random.ts)',
  },
  { pattern: module('timers|timers/promises|perf_hooks'), instead: 'take a Clock (src/host/clock.ts)' },
  { pattern: module('fs|fs/promises'), instead: 'take a Disk (src/host/disk.ts)' },
  { pattern: module('net|tls|dgram|dns|dns/promises'), instead: 'take a Network (src/host/network.ts)' },
]

/** Of a file of the product. Past 500 ask which two things live in it; past this there are two. */
const MAX_LINES = 600
/** What users of the package import, by package.json. */
const ENTRY_POINTS = Object.values<{ default: string }>(JSON.parse(readFileSync('package.json', 'utf8')).exports).map((entry) =>
  entry.default.replace(/^\.\/dist\/(.*)\.js$/, 'src/$1.ts'),
)
const DRAWERS = ['utils', 'util', 'common', 'helpers', 'helper', 'misc']
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/

interface SourceFile {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
  /** The text with its comments blanked: what rules about code look at. Lines and columns stay where they are. */
  readonly code: string
}

type Rule = (file: SourceFile) => string[]

/** Rules for what is shipped. Tests and fuzzers stand beside it and may reach for what they need. */
const productRules: Record<string, Rule> = {
  'a folder imports only from the layers below it'({ path, code }) {
    const folder = folderOf(path)
    const allowed = LAYERS[folder]
    if (allowed === undefined) return [`${path}: src/${folder} is not in LAYERS (test/tidy.test.ts): give it its place`]
    if (allowed === EVERYTHING) return []
    const complaints: string[] = []
    for (const { specifier, index } of importsOf(code)) {
      if (!specifier.startsWith('.')) continue
      const target = join(dirname(path), specifier)
      const other = target.startsWith('src/') ? folderOf(target) : undefined
      if (other === folder || (other !== undefined && allowed.includes(other))) continue
      const may = allowed.length === 0 ? 'nothing else in the repository' : allowed.join(', ')
      complaints.push(
        `${place(path, code, index)}: ${folder} may not import ${target}, only ${may}: declare a port, or move what is shared down`,
      )
    }
    return complaints
  },

  'only host, cli and testing touch clocks, timers, chance, files and sockets'({ path, code }) {
    if (WORLDLY.includes(folderOf(path))) return []
    return WORLD.flatMap(({ pattern, instead }) =>
      [...code.matchAll(pattern)].map((match) => `${place(path, code, match.index)}: ${oneLine(match[0])}: ${instead}`),
    )
  },

  'a file says what it is: in its first lines, or where it defines what it is named for'({ path, text }) {
    const name = basename(path, '.ts').replace(/^\d+-/, '').replaceAll('-', '')
    const definition = new RegExp(`\\*/\\nexport (?:async )?(?:const|function\\*?|class|interface|type) ${name}\\b`, 'i')
    if (/^(#!.*\n)?\/[/*]/.test(text) || definition.test(text)) return []
    return [`${path}:1: open with one to six lines of comment: what it is, where it sits`]
  },

  [`no file is longer than ${MAX_LINES} lines`]({ path, text }) {
    const lines = text.split('\n').length - 1
    return lines > MAX_LINES ? [`${path}:${MAX_LINES}: ${lines} lines: find the two things that live in it, and part them`] : []
  },

  'no file is a barrel'({ path, code }) {
    if (path.endsWith('/index.ts')) return [`${path}:1: name the file for what it exports`]
    // What the package offers under one name may lie in several files.
    if (ENTRY_POINTS.includes(path)) return []
    const rest = code.replaceAll(/\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s*from\s*'[^']*';?/g, '')
    return rest.trim() === '' && code.trim() !== ''
      ? [`${path}:1: a file that only exports again hides where things are: import them from there`]
      : []
  },
}

/** Rules for all code, tests included. */
const commonRules: Record<string, Rule> = {
  'names are in kebab case, and say what is inside'({ path }) {
    const parts = path.replace(/(\.(test|fuzz|bench))*\.ts$/, '').split('/')
    const shouting = parts.filter((part) => !KEBAB_CASE.test(part)).map((part) => `${path}: write ${part} in kebab-case`)
    const drawers = parts
      .filter((part) => DRAWERS.includes(part))
      .map((part) => `${path}: '${part}' says nothing: name what it holds`)
    return [...shouting, ...drawers]
  },

  'no test is skipped, singled out or left for later'({ path, code }) {
    if (!path.endsWith('.test.ts')) return []
    const marks = /\b(?:test|it|describe|suite)\.(?:only|skip|todo)\b|[{,]\s*(?:only|skip|todo):\s*(?:true|['"`])/g
    return [...code.matchAll(marks)].map(
      (match) => `${place(path, code, match.index)}: ${oneLine(match[0])}: mend the test or delete it`,
    )
  },
}

const files = globSync(['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'])
  .map((path) => path.replaceAll('\\', '/'))
  .sort()
  .map((path) => sourceFile(path, readFileSync(path, 'utf8')))
const product = files.filter(isProduct)

for (const [name, rule] of Object.entries(productRules)) test(name, () => complain(product.flatMap(rule)))
for (const [name, rule] of Object.entries(commonRules)) test(name, () => complain(files.flatMap(rule)))

test('the table of layers has no cycle', () => {
  const below = (folder: string): string[] => {
    const allowed = LAYERS[folder]
    return allowed === EVERYTHING ? [] : allowed.flatMap((other) => [other, ...below(other)])
  }
  // A cycle would end in a RangeError. Nothing that may import everything is itself imported.
  for (const folder of Object.keys(LAYERS)) {
    assert.ok(below(folder).every((other) => LAYERS[other] !== undefined && LAYERS[other] !== EVERYTHING))
  }
})

test('each rule finds what it is for, and says where', () => {
  const found = (path: string, text: string) => {
    const file = sourceFile(path, `// A file.\n${text}`)
    const rules = [...Object.values(commonRules), ...(isProduct(file) ? Object.values(productRules) : [])]
    return rules.flatMap((rule) => rule(file)).map((complaint) => complaint.slice(0, complaint.indexOf(': ')))
  }
  for (const bad of [
    `import { Broker } from '../broker/broker.ts'`,
    `import type { Broker } from '../broker/broker.ts'`,
    `import {\n  a,\n  b,\n} from '../broker/broker.ts'`,
    `import '../broker/broker.ts'`,
    `export * from '../broker/broker.ts'\nlet x`,
    `const broker = await import('../broker/broker.ts')`,
    `import x from '../../node_modules/x/y.js'`,
    'const now = Date.now()',
    'const now = new Date()',
    'const now = performance.now()',
    'setTimeout(run, 5)',
    'const dice = Math.random()',
    'const id = crypto.randomUUID()',
    `import { createHash, randomBytes } from 'node:crypto'`,
    `import { readFileSync } from 'node:fs'`,
    `import fs from 'fs/promises'`,
    `const fs = process.getBuiltinModule('node:fs')`,
    `import { connect } from 'node:net'`,
  ]) {
    assert.deepEqual(found('src/log/segment.ts', bad), ['src/log/segment.ts:2'], bad)
    assert.deepEqual(found('src/log/segment.test.ts', bad), [], bad)
  }
  for (const good of [
    `import { crc32c } from '../bytes/crc32c.ts'`,
    `import { join } from 'node:path'\nimport pino from 'pino'`,
    `import type { Socket } from 'node:net'`,
    `import { createHmac, timingSafeEqual } from 'node:crypto'`,
    'const then = new Date(wallMs)',
    '// Date.now() would not do, nor would import x from "../broker/x.ts"',
    "/* setTimeout(run) */ const url = 'https://x'",
  ]) {
    assert.deepEqual(found('src/log/segment.ts', good), [], good)
  }
  assert.deepEqual(found('src/cli/start.ts', `import { Broker } from '../broker/broker.ts'\nDate.now()`), [])
  assert.deepEqual(found('src/broker/main.ts', `import { start } from '../cli/start.ts'`), ['src/broker/main.ts:2'])
  assert.deepEqual(found('src/newcomer/file.ts', 'let x'), ['src/newcomer/file.ts'])
  assert.deepEqual(found('src/log/index.ts', 'let x'), ['src/log/index.ts:1'])
  assert.deepEqual(found('src/log/all.ts', `export { a } from './a.ts'\nexport * from './b.ts'`), ['src/log/all.ts:1'])
  assert.deepEqual(found('src/log/long.ts', '\n'.repeat(MAX_LINES)), [`src/log/long.ts:${MAX_LINES}`])
  assert.deepEqual(found('src/log/utils/x.ts', 'let x'), ['src/log/utils/x.ts'])
  assert.deepEqual(found('test/helpers.ts', 'let x'), ['test/helpers.ts'])
  assert.deepEqual(found('src/log/LogSegment.ts', 'let x'), ['src/log/LogSegment.ts'])
  for (const mark of ['only', 'skip', 'todo']) {
    for (const marked of [
      `test.${mark}('x', run)`,
      `it.${mark}('x')`,
      `test('x', { ${mark}: true }, run)`,
      `test('x', { ${mark}: 'y' })`,
    ]) {
      assert.deepEqual(found('src/log/x.test.ts', marked), ['src/log/x.test.ts:2'], marked)
    }
  }
  const says = (path: string, text: string) =>
    Object.values(productRules).every((rule) => rule(sourceFile(path, text)).length === 0)
  assert.equal(says('src/log/segment.ts', 'export class Segment {}'), false)
  assert.equal(says('src/log/segment.ts', '// A part of a log.\nexport class Segment {}'), true)
  assert.equal(says('src/log/segment.ts', "import x from 'x'\n\n/** A part of a log. */\nexport class Segment {}"), true)
  assert.equal(says('src/log/segment.ts', "import x from 'x'\n\n/** Something else. */\nexport class Index {}"), false)
  assert.equal(says('src/broker/08-offset-commit.ts', 'const x = 1\n/** Stores. */\nexport const offsetCommit = x'), true)
})

function complain(complaints: readonly string[]): void {
  assert.ok(complaints.length === 0, `\n${complaints.join('\n')}\n`)
}

/** `src/log/segment.ts` is of log, a file in src itself of none. */
function folderOf(path: string): string {
  return path.split('/')[1] ?? ''
}

function isProduct({ path }: SourceFile): boolean {
  return path.startsWith('src/') && !/\.(test|fuzz|bench)\.ts$/.test(path)
}

function sourceFile(path: string, text: string): SourceFile {
  // A line comment is one only behind white space, so that an address in a string stays whole.
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*/gm, (comment) => comment.replaceAll(/[^\n]/g, ' '))
  return { path, text, code }
}

/** Of modules by their specifiers: static, for side effects, exported again, dynamic. */
function importsOf(code: string): { specifier: string; index: number }[] {
  const imports = /\b(?:import|export)\b[^'"`;=]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g
  return [...code.matchAll(imports)].map((match) => ({ specifier: match[1] ?? match[2], index: match.index }))
}

/** Node's own modules wherever they are named, but for an import of types, which leaves nothing behind. */
function module(names: string): RegExp {
  return new RegExp(`(?<!\\bimport type [^'"]*)['"](?:node:)?(?:${names})['"]`, 'g')
}

function place(path: string, code: string, index: number): string {
  return `${path}:${code.slice(0, index).split('\n').length}`
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
