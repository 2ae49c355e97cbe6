// What is done to a cluster, and to whom. Each fault is injected, held for a while and taken back; whoever calls waits for recovery.

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type BrokerMember, type ChaosCluster, freeBytes, type Member } from './chaos-cluster.ts'
import type { Dice } from './dice.ts'
import type { Topics } from './load.ts'

export interface FaultScene {
  readonly cluster: ChaosCluster
  readonly topics: Topics
  readonly transactionalId: string
  readonly group: string
  readonly dice: Dice
  /** For people: who was hit. */
  note(text: string): void
}

export interface Fault {
  readonly name: string
  /** What it takes besides processes. */
  readonly needs?: 'network' | 'small disks' | 'faketime' | 'three members of etcd'
  run(scene: FaultScene): Promise<void>
}

type Find = (scene: FaultScene) => Promise<Member>
type FindBroker = (scene: FaultScene) => Promise<BrokerMember>

const partitionOf = async ({ cluster, topics, dice }: FaultScene) => {
  const partition = (await cluster.image()).partition(topics.source, dice.below(topics.partitions))
  if (partition === undefined) throw new Error(`${topics.source} is not there`)
  return partition
}
const leader: FindBroker = async (scene) => scene.cluster.broker((await partitionOf(scene)).leader)
const follower: FindBroker = async (scene) => {
  const { leader, replicas } = await partitionOf(scene)
  return scene.cluster.broker(scene.dice.pick(replicas.filter((id) => id !== leader)))
}
const BROKERS: Readonly<Record<string, FindBroker>> = {
  leader,
  follower,
  controller: ({ cluster }) => cluster.controller(),
  'transaction coordinator': ({ cluster, transactionalId }) => cluster.transactionCoordinator(transactionalId),
  'group coordinator': ({ cluster, group }) => cluster.groupCoordinator(group),
}
const etcdLeader: Find = ({ cluster }) => cluster.etcdLeader()

/** As in the issue: long enough for every session to end. */
const PAUSE_MS = 15_000
const seconds = (dice: Dice, from: number, to: number) => 1000 * from + dice.below(1000 * (to - from))

const killAndStart: (find: Find) => Fault['run'] = (find) => async (scene) => {
  const victim = await find(scene)
  scene.note(victim.daemon.name)
  await victim.daemon.kill()
  // Sometimes at once, while its session lives; sometimes when others have long taken over.
  await delay(scene.dice.pick([0, 0, seconds(scene.dice, 1, 3), seconds(scene.dice, 4, 7)]))
  await victim.daemon.start()
}

const stopAndStart: (find: Find) => Fault['run'] = (find) => async (scene) => {
  const victim = await find(scene)
  scene.note(victim.daemon.name)
  const inTime = await victim.daemon.stop()
  if (!inTime) throw new Error(`${victim.daemon.name} did not end on SIGTERM`)
  await delay(scene.dice.pick([0, seconds(scene.dice, 1, 5)]))
  await victim.daemon.start()
}

const pause: (find: Find, forMs?: (dice: Dice) => number) => Fault['run'] =
  (find, forMs = () => PAUSE_MS) =>
  async (scene) => {
    const victim = await find(scene)
    scene.note(victim.daemon.name)
    victim.daemon.pause()
    try {
      await delay(forMs(scene.dice))
    } finally {
      victim.daemon.resume()
    }
  }

type Direction = 'both ways' | 'deaf' | 'mute'
type From = 'brokers' | 'etcd' | 'both'

const cutOff: (find: FindBroker, from: From, direction: Direction) => Fault['run'] = (find, from, direction) => async (scene) => {
  const { cluster, dice, note } = scene
  const victim = await find(scene)
  note(victim.daemon.name)
  const others: Member[] = []
  if (from !== 'etcd') others.push(...cluster.brokers.filter((broker) => broker !== victim))
  if (from !== 'brokers') others.push(...cluster.etcd)
  try {
    for (const other of others) {
      if (direction !== 'mute') await cluster.machines.deafen(victim.machine, other.machine)
      if (direction !== 'deaf') await cluster.machines.deafen(other.machine, victim.machine)
    }
    await delay(seconds(dice, 5, 12))
  } finally {
    await cluster.machines.heal()
  }
}

const slow: Fault['run'] = async (scene) => {
  const victim = await scene.dice.pick([leader, follower])(scene)
  const rate = scene.dice.pick([64, 256, 1000])
  scene.note(`${victim.daemon.name}, ${rate} kbit/s`)
  try {
    await scene.cluster.machines.slow(victim.machine, rate)
    await delay(seconds(scene.dice, 6, 12))
  } finally {
    await scene.cluster.machines.heal()
  }
}

const FILLS_AGAIN_MS = 100

const fillDisk: (find: FindBroker) => Fault['run'] = (find) => async (scene) => {
  const victim = await find(scene)
  scene.note(victim.daemon.name)
  const files: string[] = []
  const until = performance.now() + seconds(scene.dice, 5, 8)
  try {
    // What the broker frees in the meantime is taken, too.
    while (performance.now() < until) {
      const free = freeBytes(victim.dataDirectory)
      if (free > 0) {
        const file = join(victim.dataDirectory, `filler-${files.length}`)
        files.push(file)
        await writeFile(file, Buffer.alloc(free)).catch(() => {})
      }
      await delay(FILLS_AGAIN_MS)
    }
  } finally {
    for (const file of files) await rm(file, { force: true })
  }
  // A broker without a directory ends, one that goes on without it comes back with the next start.
  await victim.daemon.stop()
  await victim.daemon.start()
}

const shiftClock: Fault['run'] = async (scene) => {
  const victim = scene.dice.pick(scene.cluster.brokers)
  victim.clockOffsetS = scene.dice.pick([3600, -3600])
  scene.note(`${victim.daemon.name}, ${victim.clockOffsetS} s`)
  try {
    await victim.daemon.stop()
    await victim.daemon.start()
    await delay(seconds(scene.dice, 3, 6))
  } finally {
    victim.clockOffsetS = 0
    await victim.daemon.stop()
    await victim.daemon.start()
  }
}

/** With a majority away nothing can be decided: what leads goes on leading. */
const majority: (hit: 'kill' | 'pause') => Fault['run'] = (hit) => async (scene) => {
  const { cluster, dice, note } = scene
  const victims = dice.shuffled(cluster.etcd).slice(0, Math.ceil((cluster.etcd.length + 1) / 2))
  note(victims.map(({ daemon }) => daemon.name).join(', '))
  for (const { daemon } of victims) await (hit === 'kill' ? daemon.kill() : daemon.pause())
  await delay(seconds(dice, 3, 12))
  if (hit === 'pause') for (const { daemon } of victims) daemon.resume()
  else await Promise.all(victims.map(({ daemon }) => daemon.start()))
}

/** Of brokers: all at once, as if the power went, or but one. What was written is with the kernel, and stays. */
const killSeveral: (howMany: (all: number) => number) => Fault['run'] = (howMany) => async (scene) => {
  const { cluster, dice, note } = scene
  const victims = dice.shuffled(cluster.brokers).slice(0, howMany(cluster.brokers.length))
  note(victims.map(({ daemon }) => daemon.name).join(', '))
  await Promise.all(victims.map(({ daemon }) => daemon.kill()))
  await delay(seconds(dice, 0, 5))
  await Promise.all(
    dice.shuffled(victims).map(async ({ daemon }) => {
      await delay(seconds(dice, 0, 3))
      await daemon.start()
    }),
  )
}

/** One after the other, each when the one before is back in every ISR: what an upgrade does. */
const rollingRestart: Fault['run'] = async (scene) => {
  for (const { daemon } of scene.cluster.brokers) {
    scene.note(daemon.name)
    if (!(await daemon.stop())) throw new Error(`${daemon.name} did not end on SIGTERM`)
    await daemon.start()
    await scene.cluster.whole()
  }
}

/** Killed again and again, mostly before it is in sync. */
const flapping: Fault['run'] = async (scene) => {
  const victim = await leader(scene)
  scene.note(victim.daemon.name)
  for (let i = 0; i < 3; i++) {
    await victim.daemon.kill()
    await delay(seconds(scene.dice, 0, 2))
    await victim.daemon.start()
    await delay(seconds(scene.dice, 0, 1))
  }
}

/** The leader is cut off, and while it does not know that it leads no more, its successor is killed. */
const twoLeadersInARow: Fault['run'] = async (scene) => {
  const { cluster, topics, dice, note } = scene
  const partition = dice.below(topics.partitions)
  const leaderNow = async () => (await cluster.image()).partition(topics.source, partition)!.leader
  const first = cluster.broker(await leaderNow())
  first.daemon.pause()
  try {
    for (let i = 0; i < 80 && (await leaderNow()) === first.id; i++) await delay(100)
    const second = await leaderNow()
    note(`${first.daemon.name}, then ${second < 0 ? 'nobody' : `broker ${second}`}`)
    await delay(seconds(dice, 0, 1))
    if (second < 0 || second === first.id) return
    await cluster.broker(second).daemon.kill()
    await delay(seconds(dice, 0, 3))
    await cluster.broker(second).daemon.start()
  } finally {
    first.daemon.resume()
  }
}

const ofBrokers = (verb: string, hit: (find: FindBroker) => Fault['run'], needs?: Fault['needs']): Fault[] =>
  Object.entries(BROKERS).map(([whom, find]) => ({ name: `${verb} ${whom}`, needs, run: hit(find) }))

const partitions: Fault[] = (['leader', 'follower', 'controller', 'transaction coordinator'] as const).flatMap((whom) =>
  (['brokers', 'etcd', 'both'] as const).flatMap((from) =>
    (['both ways', 'deaf', 'mute'] as const).map(
      (direction): Fault => ({
        name: `cut ${whom} off from ${from === 'both' ? 'brokers and etcd' : from} (${direction})`,
        needs: 'network',
        run: cutOff(BROKERS[whom], from, direction),
      }),
    ),
  ),
)

export const FAULTS: readonly Fault[] = [
  ...ofBrokers('kill', killAndStart),
  ...ofBrokers('stop', stopAndStart),
  ...ofBrokers('pause', pause),
  { name: 'pause leader for about a session', run: pause(leader, (dice) => seconds(dice, 2, 5)) },
  ...partitions,
  { name: 'slow links', needs: 'network', run: slow },
  { name: 'fill disk of leader', needs: 'small disks', run: fillDisk(leader) },
  { name: 'fill disk of follower', needs: 'small disks', run: fillDisk(follower) },
  { name: 'shift clock', needs: 'faketime', run: shiftClock },
  { name: 'kill etcd leader', run: killAndStart(etcdLeader) },
  { name: 'pause etcd leader', run: pause(etcdLeader, (dice) => seconds(dice, 3, 12)) },
  { name: 'stop etcd leader', run: stopAndStart(etcdLeader) },
  { name: 'kill etcd majority', needs: 'three members of etcd', run: majority('kill') },
  { name: 'pause etcd majority', needs: 'three members of etcd', run: majority('pause') },
  { name: 'kill all brokers', run: killSeveral((all) => all) },
  { name: 'kill all brokers but one', run: killSeveral((all) => all - 1) },
  { name: 'rolling restart', run: rollingRestart },
  { name: 'flapping leader', run: flapping },
  { name: 'two leaders in a row', run: twoLeadersInARow },
]
