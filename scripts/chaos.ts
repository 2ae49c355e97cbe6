// `npm run chaos`: brokers and etcd as processes, harmed round by round under load, and judged by what their clients saw (test/chaos/).
// Network faults, full disks and shifted clocks take root, nftables and faketime; what is not to be had is left out, and said.

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import { ChaosCluster } from '../test/chaos/chaos-cluster.ts'
import { Dice } from '../test/chaos/dice.ts'
import { FAULTS, type Fault } from '../test/chaos/faults.ts'
import { findMachines } from '../test/chaos/machines.ts'
import { runRound } from '../test/chaos/round.ts'

const USAGE = `npm run chaos -- [--rounds N] [--seed S] [--only REGEXP] [--short] [--brokers N] [--etcd N] [--set key=value]…

  --rounds   how many faults, each in a round of its own (default: 10)
  --seed     decides their order and their details (default: one that is printed)
  --only     faults whose names match
  --short    one kill, one stop, one pause, one partition, in that order
  --brokers  3 to 5 (default: 3)
  --etcd     members of etcd, 1 or 3 (default: 3)
  --set      broker configuration
  --list     names all faults
  --keep     a directory for logs and for histories of rounds that failed`

/** Of each broker and each member of etcd. Small enough to be filled in a moment. */
const DISK_MIB = 192
const SHORT = ['kill leader', 'stop leader', 'pause leader', 'cut leader off from brokers and etcd (both ways)']

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    only: { type: 'string', default: '' },
    short: { type: 'boolean', default: false },
    brokers: { type: 'string', default: '3' },
    etcd: { type: 'string', default: '3' },
    set: { type: 'string', multiple: true, default: [] },
    list: { type: 'boolean', default: false },
    keep: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help || values.list) {
  console.log(values.help ? USAGE : FAULTS.map(({ name }) => name).join('\n'))
  process.exit(0)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const seed = Number(values.seed)
const directory = values.keep ?? (await mkdtemp(join(tmpdir(), 'chaos-')))
await mkdir(directory, { recursive: true })
const isRoot = process.getuid?.() === 0
await using machines = await findMachines(isRoot)
const can: Record<NonNullable<Fault['needs']>, boolean> = {
  network: machines.areApart,
  'small disks': machines.areApart,
  faketime: existsSync('/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'),
  'three members of etcd': Number(values.etcd) === 3,
}
const possible = FAULTS.filter(({ needs }) => needs === undefined || can[needs])
for (const [need, has] of Object.entries(can)) {
  const without = FAULTS.filter(({ needs }) => needs === need).length
  if (!has) console.log(`NOT RUN: ${without} kinds of fault, for want of ${need}`)
}

let failed = 0
const counts = new Map<string, number>()
let generation = 0
let cluster = await startCluster()
const started = performance.now()
let rounds = 0
for (const fault of plan()) {
  rounds++
  const from = performance.now()
  const verdict = await runRound(cluster, fault, `chaos-${rounds}`, seed * 1000 + rounds)
  const seconds = ((performance.now() - from) / 1000).toFixed(0)
  const isGreen = verdict.failure === undefined && verdict.anomalies.length === 0
  const mark = isGreen ? styleText('green', 'ok  ') : styleText('red', 'FAIL')
  const silence = `${(verdict.longestSilenceMs / 1000).toFixed(1)} s without an acknowledgement`
  console.log(`${mark} ${rounds} ${fault.name} [${verdict.hit}]: ${verdict.acknowledged} acknowledged, ${silence}, ${seconds} s`)
  counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1)
  if (isGreen) continue
  failed++
  if (verdict.failure !== undefined) console.log(verdict.failure.replace(/^/gm, '     '))
  for (const { name, detail } of verdict.anomalies.slice(0, 20)) console.log(`     ${name}: ${detail}`)
  if (verdict.anomalies.length > 20) console.log(`     and ${verdict.anomalies.length - 20} more`)
  await writeFile(join(directory, `round-${rounds}.json`), JSON.stringify({ fault: fault.name, ...verdict }))
  // What is broken would break the rounds behind it.
  await cluster[Symbol.asyncDispose]()
  cluster = await startCluster()
}
await cluster[Symbol.asyncDispose]()
const minutes = ((performance.now() - started) / 60_000).toFixed(1)
console.log(`${rounds - failed} of ${rounds} rounds green, ${counts.size} kinds of fault, in ${minutes} min, seed ${seed}`)
if (failed > 0) console.log(`logs and histories: ${directory}`)
else if (values.keep === undefined) await rm(directory, { recursive: true, force: true })
await machines[Symbol.asyncDispose]()
process.exit(failed > 0 ? 1 : 0)

function* plan(): Generator<Fault> {
  if (values.short) {
    yield* SHORT.flatMap((name) => possible.filter((fault) => fault.name === name))
    return
  }
  const chosen = possible.filter(({ name }) => new RegExp(values.only).test(name))
  if (chosen.length === 0) throw new Error(`no fault matches ${values.only} here: --list names them`)
  const dice = new Dice(seed)
  // Each once before any comes again.
  for (let round = 0, order: Fault[] = []; round < Number(values.rounds); round++) {
    if (order.length === 0) order = dice.shuffled(chosen)
    yield order.pop()!
  }
}

async function startCluster(): Promise<ChaosCluster> {
  const place = join(directory, `cluster-${generation++}`)
  await mkdir(place, { recursive: true })
  const config = Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s).slice(0, 2)))
  return ChaosCluster.start({
    machines,
    directory: place,
    brokers: Number(values.brokers),
    etcdMembers: Number(values.etcd),
    config,
    ...(machines.areApart ? { diskMiB: DISK_MIB } : {}),
  })
}
