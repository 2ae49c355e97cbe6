// Sets of partitions, by topic: what a transaction has touched.

export type TopicPartitions = ReadonlyMap<string, ReadonlySet<number>>

/** As requests name them. */
export type TopicList = readonly { readonly name: string; readonly partitions: readonly number[] }[]

export const NO_PARTITIONS: TopicPartitions = new Map()

export function withPartitions(some: TopicPartitions, more: TopicList): TopicPartitions {
  const all = new Map(some)
  for (const { name, partitions } of more) all.set(name, new Set([...(all.get(name) ?? []), ...partitions]))
  return all
}

export function holds(some: TopicPartitions, topic: string, partition: number): boolean {
  return some.get(topic)?.has(partition) === true
}

export function holdsAll(some: TopicPartitions, topics: TopicList): boolean {
  return topics.every(({ name, partitions }) => partitions.every((partition) => holds(some, name, partition)))
}
