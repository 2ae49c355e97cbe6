// What `moldau cluster` and `moldau rebalance` look at: the cluster as its brokers tell it, in one piece.

import { resourceKey } from '../client/admin/config-admin.ts'
import { orThrow } from '../client/admin/results.ts'
import type { Admin } from '../client/admin.ts'
import { partitionKey } from '../client/metadata.ts'
import { delay, realClock } from '../host/clock.ts'
import type { StoreObservation } from './store-health.ts'

/** For a broker to say what is on its disks. */
const ANSWER_MS = 3_000

export interface ObservedBroker {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  readonly fenced: boolean
  /** Of its log directories; null where it did not say. */
  readonly disk: { readonly totalBytes: number; readonly usableBytes: number } | null
}

export interface ObservedPartition {
  readonly topic: string
  readonly index: number
  /** -1: nobody. */
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
  readonly minIsr: number
  readonly internal: boolean
  /** Of its largest replica. */
  readonly bytes: number
}

export interface Observation {
  readonly clusterId: string
  readonly brokers: readonly ObservedBroker[]
  readonly partitions: readonly ObservedPartition[]
  /** Undefined where nobody asked for it. */
  readonly store: StoreObservation | undefined
}

export async function observeCluster(admin: Admin, store?: StoreObservation): Promise<Observation> {
  const { brokers: live } = await admin.cluster.describe()
  const logDirs = new Map(
    await Promise.all(
      live.map(async ({ nodeId }) => {
        // One that is dead is not waited for, nor is one that will not tell.
        const asked = admin.cluster.logDirs(nodeId).catch(() => [])
        const directories = await Promise.race([asked, delay(realClock, ANSWER_MS).then(() => [])])
        return [nodeId, directories] as const
      }),
    ),
  )
  const sizes = new Map<string, number>()
  for (const directories of logDirs.values()) {
    for (const { topics } of directories)
      for (const { name, partitions } of topics)
        for (const { partitionIndex, partitionSize } of partitions) {
          const key = partitionKey(name, partitionIndex)
          sizes.set(key, Math.max(sizes.get(key) ?? 0, Number(partitionSize)))
        }
  }
  const { clusterId, brokers } = await admin.cluster.describe({ includeFencedBrokers: true })
  const names = (await admin.topics.list()).map(({ name }) => name)
  const moves = await admin.cluster.reassignments()
  const described = names.length === 0 ? new Map() : orThrow(await admin.topics.describe(names))
  const configs =
    names.length === 0 ? new Map() : orThrow(await admin.configs.describe(names.map((name) => ({ type: 'TOPIC', name }))))
  const partitions = names.flatMap((topic) => {
    const config = configs.get(resourceKey({ type: 'TOPIC', name: topic })) ?? []
    const minIsr = Number(config.find(({ name }: { name: string }) => name === 'min.insync.replicas')?.value ?? 1)
    const description = described.get(topic)!
    return description.partitions.map((partition: (typeof description.partitions)[number]): ObservedPartition => {
      const key = partitionKey(topic, partition.index)
      const { addingReplicas = [], removingReplicas = [] } = moves.get(key) ?? {}
      const { index, leaderId, replicas, isr, eligibleLeaderReplicas } = partition
      return {
        topic,
        index,
        leader: leaderId,
        replicas,
        isr,
        elr: eligibleLeaderReplicas ?? [],
        adding: addingReplicas,
        removing: removingReplicas,
        minIsr,
        internal: description.isInternal,
        bytes: sizes.get(key) ?? 0,
      }
    })
  })
  return {
    clusterId: clusterId ?? '',
    brokers: brokers
      .map(({ nodeId, host, port, rack, isFenced }) => ({
        id: nodeId,
        host,
        port,
        rack,
        fenced: isFenced,
        disk: diskOf(logDirs.get(nodeId) ?? []),
      }))
      .sort((a, b) => a.id - b.id),
    partitions,
    store,
  }
}

/** The fullest of its disks. */
function diskOf(directories: readonly { readonly totalBytes: bigint; readonly usableBytes: bigint }[]) {
  const disks = directories
    .map(({ totalBytes, usableBytes }) => ({ totalBytes: Number(totalBytes), usableBytes: Number(usableBytes) }))
    .filter(({ totalBytes }) => totalBytes > 0)
    .sort((a, b) => a.usableBytes / a.totalBytes - b.usableBytes / b.totalBytes)
  return disks[0] ?? null
}
