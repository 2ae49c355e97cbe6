// The configuration that throttles what brokers copy from each other while partitions move: of topics, which replicas; of brokers, how fast.

import type { ConfigChange, ConfigResource } from '../client/admin/config-admin.ts'
import { orThrow } from '../client/admin/results.ts'
import type { Admin } from '../client/admin.ts'
import type { TopicPartition } from '../client/metadata.ts'

const RATES = ['leader.replication.throttled.rate', 'follower.replication.throttled.rate'] as const
const LOG_DIR_RATE = 'replica.alter.log.dirs.io.max.bytes.per.second'
const REPLICAS = ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'] as const

/** One partition's way from where it is to where it is to be. */
export interface Move extends TopicPartition {
  readonly sources: readonly number[]
  readonly destinations: readonly number[]
}

export async function setThrottle(admin: Admin, moves: readonly Move[], bytesPerSecond: number): Promise<void> {
  const topics = [...Map.groupBy(moves, ({ topic }) => topic)].map(([name, of]) => {
    const replicas = (side: 'sources' | 'destinations') =>
      of
        .flatMap((move) => move[side].map((broker) => `${move.partition}:${broker}`))
        .sort()
        .join()
    return alteration({ type: 'TOPIC', name }, { [REPLICAS[0]]: replicas('sources'), [REPLICAS[1]]: replicas('destinations') })
  })
  orThrow(await admin.configs.change(topics))
  const brokers = new Set(moves.flatMap(({ sources, destinations }) => [...sources, ...destinations]))
  const rates = Object.fromEntries(RATES.map((key) => [key, String(bytesPerSecond)]))
  orThrow(await admin.configs.change([...brokers].map((id) => alteration({ type: 'BROKER', name: String(id) }, rates))))
}

export async function clearThrottle(admin: Admin, brokers: readonly number[], topics: readonly string[]): Promise<void> {
  const none = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, null]))
  const ofBrokers = brokers.map((id) => alteration({ type: 'BROKER', name: String(id) }, none([...RATES, LOG_DIR_RATE])))
  orThrow(
    await admin.configs.change([...ofBrokers, ...topics.map((name) => alteration({ type: 'TOPIC', name }, none(REPLICAS)))]),
  )
}

function alteration(resource: ConfigResource, values: Readonly<Record<string, string | null>>) {
  const changes = Object.entries(values).map(
    ([name, value]): ConfigChange => ({ name, operation: value === null ? 'DELETE' : 'SET', value }),
  )
  return { ...resource, changes }
}
