// What is said of a cluster that was looked at: how it is, and what is wrong with it. Pure.

import type { Observation, ObservedPartition } from './cluster-observation.ts'
import { row, widest } from './table.ts'

export interface Problem {
  readonly what: string
  /** What to do about it. */
  readonly todo: string
}

/** Names of partitions in a line, beyond which they are counted. */
const NAMED = 5
const FULL_DISK = 0.1
/** etcd's own quota where nobody has set another is 2 GiB; it stops to take anything there. */
const ETCD_WARN_BYTES = 0.7 * 2 * 1024 ** 3
/** Members are this far apart in what they have applied only when one of them is in trouble. */
const ETCD_FAR_BEHIND = 10_000

export function describeStatus(observed: Observation): string[] {
  const { clusterId, brokers, partitions, store } = observed
  const led = (id: number) => partitions.filter(({ leader }) => leader === id).length
  const held = (id: number) => partitions.filter(({ replicas }) => replicas.includes(id)).length
  const lagging = (id: number) => partitions.filter(({ replicas, isr }) => replicas.includes(id) && !isr.includes(id)).length
  const registrations = new Map(store?.metadata?.brokers.map((broker) => [broker.id, broker]))
  const moving = partitions.filter(({ adding, removing }) => adding.length + removing.length > 0).length
  const lines = [`Cluster ${clusterId}: ${brokers.length} brokers, ${partitions.length} partitions, ${moving} on the move`, '']
  const header = ['BROKER', 'ADDRESS', 'RACK', 'STATE', 'EPOCH', 'MACHINE', 'LEADS', 'REPLICAS', 'OUT-OF-SYNC', 'DISK-USED']
  const rows = brokers.map(({ id, host, port, rack, fenced, disk }) => {
    const registered = registrations.get(id)
    const state = registered?.stopping ? 'stopping' : fenced ? 'fenced' : 'active'
    return [
      `${id}${store?.metadata?.controller === id ? '*' : ''}`,
      `${host}:${port}`,
      rack ?? '-',
      state,
      `${registered?.epoch ?? '-'}`,
      registered?.machine ?? '-',
      `${led(id)}`,
      `${held(id)}`,
      `${lagging(id)}`,
      disk === null ? '-' : `${Math.round(100 * (1 - disk.usableBytes / disk.totalBytes))} %`,
    ]
  })
  lines.push(...table([header, ...rows]))
  if (store === undefined) return lines
  const { metadata, members } = store
  lines.push('')
  lines.push(
    metadata === undefined
      ? 'Metadata: not read'
      : `Metadata: revision ${metadata.revision}, ${metadata.controller === null ? 'no controller' : `controller ${metadata.controller} (*)`} in epoch ${metadata.controllerEpoch}`,
  )
  const memberRows = members.map(({ address, problem, version, bytes, isLeader, leaderless, alarms }) => [
    address,
    problem !== undefined ? 'silent' : leaderless ? 'no leader' : isLeader ? 'leader' : 'follower',
    version ?? '-',
    bytes === undefined ? '-' : `${(bytes / 1024 ** 2).toFixed(1)} MiB`,
    (alarms ?? []).join() || '-',
  ])
  lines.push(...table([['ETCD', 'STATE', 'VERSION', 'SIZE', 'ALARMS'], ...memberRows]))
  return lines
}

/** The worst first. */
export function findProblems(observed: Observation): Problem[] {
  return [...storeProblems(observed), ...partitionProblems(observed), ...brokerProblems(observed), ...precautions(observed)]
}

function* storeProblems({ store, clusterId }: Observation): Generator<Problem> {
  if (store === undefined) return
  const silent = store.members.filter(({ problem }) => problem !== undefined)
  const majority = Math.floor(store.members.length / 2) + 1
  for (const { address, problem } of silent) {
    yield {
      what: `etcd at ${address} does not answer: ${problem}`,
      todo:
        store.members.length - silent.length >= majority
          ? 'The others are a majority and go on. Start it again before another one fails.'
          : 'Without a majority of its members etcd takes no changes: brokers serve on, but nothing fails over. Start members until there is one.',
    }
  }
  const answered = store.members.filter(({ problem }) => problem === undefined)
  for (const { address, alarms = [], leaderless, bytes = 0 } of answered) {
    if (alarms.includes('NOSPACE')) {
      yield {
        what: `etcd at ${address} is out of space: it takes no changes, and no lease`,
        todo: 'Compact it, "etcdctl defrag" each member, then "etcdctl alarm disarm". Raise --quota-backend-bytes, and let it compact by itself.',
      }
    }
    if (alarms.includes('CORRUPT'))
      yield { what: `etcd at ${address} reports damaged data`, todo: 'Replace this member by a new one, as its manual says.' }
    if (leaderless)
      yield {
        what: `etcd at ${address} has no leader`,
        todo: 'Are its members connected to each other, and a majority of them up?',
      }
    if (bytes > ETCD_WARN_BYTES && !alarms.includes('NOSPACE')) {
      yield {
        what: `etcd at ${address} is ${Math.round(bytes / 1024 ** 2)} MiB large`,
        todo: 'At its quota (2 GiB unless set) it stops: run it with --auto-compaction-mode=periodic --auto-compaction-retention=1h, and defragment it.',
      }
    }
  }
  const newest = Math.max(...answered.map(({ raftIndex = 0 }) => raftIndex))
  for (const { address, raftIndex = 0 } of answered) {
    if (newest - raftIndex > ETCD_FAR_BEHIND)
      yield {
        what: `etcd at ${address} is ${newest - raftIndex} entries behind`,
        todo: 'Look at its disk, and at its connection to the others.',
      }
  }
  const { metadata } = store
  if (metadata === undefined) {
    if (answered.length > 0)
      yield {
        what: 'no cluster has its metadata in this etcd',
        todo: 'Is --cluster the address that the brokers were started with?',
      }
    return
  }
  if (metadata.clusterId !== clusterId) {
    yield {
      what: `this etcd has the metadata of cluster ${metadata.clusterId}, the brokers are of ${clusterId}`,
      todo: 'Give --cluster and --bootstrap-server of the same cluster.',
    }
    return
  }
  if (metadata.controller === null)
    yield {
      what: 'no broker is the controller',
      todo: 'One is elected within seconds, if brokers reach etcd. Do they? Their logs tell.',
    }
  for (const { id, alive, fenced } of metadata.brokers) {
    if (alive && fenced)
      yield {
        what: `broker ${id} runs, but does not serve`,
        todo: 'It is starting, or does not reach the controller over the listener that brokers use among themselves. Its log tells.',
      }
  }
}

function* partitionProblems({ partitions, brokers }: Observation): Generator<Problem> {
  const known = new Map(brokers.map((broker) => [broker.id, broker]))
  const away = (ids: readonly number[]) => ids.filter((id) => known.get(id)?.fenced !== false)
  const leaderless = partitions.filter(({ leader }) => leader < 0 || known.get(leader)?.fenced !== false)
  if (leaderless.length > 0) {
    const waitedFor = [
      ...new Set(leaderless.flatMap(({ isr, elr, replicas }) => away([...isr, ...elr].length > 0 ? [...isr, ...elr] : replicas))),
    ]
    yield {
      what: `${count(leaderless)} without a leader, neither written nor read: ${names(leaderless)}`,
      todo: `Start ${brokersNamed(waitedFor)}: all that was acknowledged is there. If they are gone for good, "kafka-leader-election.sh --election-type unclean" goes on without it.`,
    }
  }
  const rest = partitions.filter((partition) => !leaderless.includes(partition))
  const tooFew = rest.filter(({ isr, minIsr }) => isr.length < minIsr)
  if (tooFew.length > 0) {
    yield {
      what: `${count(tooFew)} with fewer in-sync replicas than min.insync.replicas, refusing acks=all: ${names(tooFew)}`,
      todo: `Start ${brokersNamed([...new Set(tooFew.flatMap(({ replicas, isr }) => replicas.filter((id) => !isr.includes(id))))])}, and let them catch up.`,
    }
  }
  const lagging = rest.filter(
    ({ replicas, isr, adding, minIsr }) => isr.length >= minIsr && replicas.length - adding.length > isr.length,
  )
  if (lagging.length > 0) {
    const behind = [...new Set(lagging.flatMap(({ replicas, isr }) => replicas.filter((id) => !isr.includes(id))))]
    const dead = away(behind)
    yield {
      what: `${count(lagging)} with replicas out of sync: ${names(lagging)}`,
      todo:
        dead.length > 0
          ? `Start ${brokersNamed(dead)}; where one is gone for good, move its replicas to others ("moldau rebalance --remove-broker ID").`
          : `${brokersNamed(behind)} may be catching up. If that takes long: look at its log, its disk and its network.`,
    }
  }
}

function* brokerProblems({ brokers, partitions }: Observation): Generator<Problem> {
  for (const { id, host, port, fenced, disk } of brokers) {
    const replicas = partitions.filter((partition) => partition.replicas.includes(id)).length
    if (fenced) {
      yield {
        what: `broker ${id} (${host}:${port}) does not serve`,
        todo:
          replicas === 0
            ? `Start it, or forget it: "kafka-cluster.sh unregister --id ${id}".`
            : `Start it. If it is gone for good: "moldau rebalance --remove-broker ${id}", then "kafka-cluster.sh unregister --id ${id}".`,
      }
    }
    if (disk !== null && disk.usableBytes < FULL_DISK * disk.totalBytes) {
      yield {
        what: `the disk of broker ${id} is ${Math.round(100 * (1 - disk.usableBytes / disk.totalBytes))} % full`,
        todo: 'Shorten retention, add room, or move replicas to other brokers ("moldau rebalance").',
      }
    }
  }
}

/** What will be wrong when the next broker stops. */
function* precautions({ brokers, partitions }: Observation): Generator<Problem> {
  if (brokers.length < 2) return
  const settled = partitions.filter(({ adding, removing }) => adding.length + removing.length === 0)
  const single = settled.filter(({ replicas }) => replicas.length === 1)
  if (single.length > 0) {
    yield {
      what: `${count(single)} with a single replica: ${names(single)}`,
      todo: 'When its broker stops, it is gone until that is back. "kafka-reassign-partitions.sh" gives it more.',
    }
  }
  const brittle = settled.filter(({ replicas, minIsr }) => replicas.length > 1 && minIsr >= replicas.length)
  if (brittle.length > 0) {
    yield {
      what: `${count(brittle)} whose min.insync.replicas allows no replica to be away: ${names(brittle)}`,
      todo: 'Each stop of a broker refuses acks=all. With three replicas 2 is the usual choice.',
    }
  }
}

const count = (partitions: readonly ObservedPartition[]) => `${partitions.length} partition${partitions.length === 1 ? '' : 's'}`

function names(partitions: readonly ObservedPartition[]): string {
  const shown = partitions.slice(0, NAMED).map(({ topic, index }) => `${topic}-${index}`)
  return shown.join(', ') + (partitions.length > NAMED ? `, and ${partitions.length - NAMED} more` : '')
}

function brokersNamed(ids: readonly number[]): string {
  const sorted = [...ids].sort((a, b) => a - b)
  return sorted.length === 1 ? `broker ${sorted[0]}` : `brokers ${sorted.join(', ')}`
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) =>
    widest(
      0,
      rows.map((cells) => cells[column]),
    ),
  )
  return rows.map((cells) =>
    row(
      widths,
      cells.map((cell) => `${cell}`),
    ).trimEnd(),
  )
}
