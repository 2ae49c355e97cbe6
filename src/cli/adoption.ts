// Decides what of an Apache Kafka's log directories becomes ours, and names what does not. Pure: adopt.ts has looked, and will do it.

import type { KraftConfigs, KraftImage, KraftPartition, KraftTopic } from '../cluster/kraft-image.ts'
import { type ConfigResourceType, RESOURCE_TYPES } from '../cluster/metadata-records.ts'
import { ConfigError } from '../config/definition.ts'
import { type ConfigScope, findDefinition } from '../config/registry.ts'
import { parseConfigValue } from '../config/value.ts'
import { logDirectoryName } from '../log/file-names.ts'
import type { TopicId } from '../protocol/ids.ts'

/** A partition's directory, somewhere in the log directories. */
export interface FoundLog {
  readonly path: string
  /** By its partition.metadata. */
  readonly topicId: string | undefined
}

export interface AdoptedPartition {
  readonly leaderEpoch: number
  /** Undefined: it begins empty. */
  readonly source: string | undefined
}

export interface AdoptedTopic {
  readonly topic: KraftTopic
  /** By index. */
  readonly partitions: readonly AdoptedPartition[]
}

export interface AdoptedConfigs {
  readonly type: ConfigResourceType
  readonly name: string
  readonly values: ReadonlyMap<string, string>
}

export interface Adoption {
  readonly topics: readonly AdoptedTopic[]
  readonly configs: readonly AdoptedConfigs[]
  /** A line each: what, and why. */
  readonly leftOut: readonly string[]
  /** A line each: what is not as it was. */
  readonly remarks: readonly string[]
}

/** @param logs by the names of their directories */
export function planAdoption(image: KraftImage, logs: ReadonlyMap<string, FoundLog>, nodeId: number): Adoption {
  const leftOut: string[] = []
  const remarks: string[] = []
  const taken = new Set<string>()
  const topics: AdoptedTopic[] = []
  for (const topic of [...image.topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const problem = topicProblem(topic, nodeId)
    if (problem !== undefined) {
      leftOut.push(`topic ${topic.name}: ${problem}`)
      continue
    }
    const partitions = inOrder(topic).map(({ leaderEpoch }, index): AdoptedPartition => {
      const name = logDirectoryName(topic.name, index)
      const log = logs.get(name)
      if (log?.topicId === topic.id) {
        taken.add(name)
        return { leaderEpoch, source: log.path }
      }
      remarks.push(`${name} begins empty: there is no directory of this name with the topic's id, ${topic.id}`)
      return { leaderEpoch, source: undefined }
    })
    topics.push({ topic, partitions })
  }
  const configs = [...image.configs.values()].flatMap((found) => adoptConfigs(found, topics, nodeId, leftOut))
  for (const [name, { path, topicId }] of logs) {
    // Those of a topic that is left out have been named with it.
    if (taken.has(name) || image.topics.has(topicId as TopicId)) continue
    leftOut.push(`${path}: belongs to no topic that Kafka knows`)
  }
  return { topics, configs, leftOut: [...leftOut, ...unsupported(image)], remarks }
}

function topicProblem(topic: KraftTopic, nodeId: number): string | undefined {
  const partitions = inOrder(topic)
  if (partitions.length !== topic.partitions.size || partitions.length === 0) return 'the metadata lack some of its partitions'
  const elsewhere = partitions.findIndex(({ replicas }) => !replicas.includes(nodeId))
  if (elsewhere !== -1) return `partition ${elsewhere} lies on other nodes (${partitions[elsewhere].replicas.join(', ')})`
  // A copy that is the only one is the best there is.
  const hasAll = ({ replicas, isr, elr }: KraftPartition) => replicas.length === 1 || isr.includes(nodeId) || elr.includes(nodeId)
  const behind = partitions.findIndex((partition) => !hasAll(partition))
  if (behind !== -1)
    return `this node's copy of partition ${behind} is not in sync (in sync: ${partitions[behind].isr.join(', ')})`
  return undefined
}

/** Up to the first that is missing. */
function inOrder({ partitions }: KraftTopic): KraftPartition[] {
  const found: KraftPartition[] = []
  for (let index = 0; partitions.has(index); index++) found.push(partitions.get(index)!)
  return found
}

function adoptConfigs(
  { resourceType, resourceName, values }: KraftConfigs,
  topics: readonly AdoptedTopic[],
  nodeId: number,
  leftOut: string[],
): AdoptedConfigs[] {
  const leave = (what: string, why: string) => {
    leftOut.push(`configuration of ${what}: ${why}`)
    return []
  }
  const keys = [...values.keys()].join(', ')
  switch (resourceType) {
    case RESOURCE_TYPES.topic:
      // One that is left out has been named.
      if (!topics.some(({ topic }) => topic.name === resourceName)) return []
      return accepted('topic', resourceName, `topic ${resourceName}`, values, leftOut)
    case RESOURCE_TYPES.broker:
      if (resourceName !== '' && resourceName !== String(nodeId))
        return leave(`broker ${resourceName}`, `of another node (${keys})`)
      return accepted('broker', resourceName, resourceName === '' ? 'all brokers' : `broker ${resourceName}`, values, leftOut)
    case RESOURCE_TYPES.group:
      return accepted('group', resourceName, `group ${resourceName}`, values, leftOut)
    default:
      return leave(
        `${resourceType === RESOURCE_TYPES.clientMetrics ? 'client metrics' : `resource type ${resourceType},`} ${resourceName}`,
        keys,
      )
  }
}

function accepted(
  type: ConfigScope,
  name: string,
  shown: string,
  values: ReadonlyMap<string, string>,
  leftOut: string[],
): AdoptedConfigs[] {
  const kept = new Map<string, string>()
  for (const [key, text] of values) {
    const problem = configProblem(type, key, text)
    if (problem === undefined) kept.set(key, text)
    else leftOut.push(`configuration of ${shown}: ${problem}`)
  }
  return kept.size === 0 ? [] : [{ type, name, values: kept }]
}

function configProblem(type: ConfigScope, key: string, text: string): string | undefined {
  // There is one replica of everything now: with more to be in sync, nothing could be written.
  if (key === 'min.insync.replicas' && Number(text) > 1) return `${key}=${text}, for there is one replica now`
  const definition = findDefinition(type, key)
  if (definition === undefined) return `${key}=${text}, which moldau does not know`
  try {
    parseConfigValue(key, definition, text)
    return undefined
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
}

/** What this version has no place for. */
function unsupported({ acls, scramUsers, quotas, delegationTokens }: KraftImage): string[] {
  const lines: string[] = []
  const add = (what: string, names: readonly string[]) => {
    if (names.length > 0) lines.push(`${what}: ${[...new Set(names)].sort().join(', ')}`)
  }
  add(
    'access control entries',
    [...acls.values()].map(({ principal, resourceName }) => `${principal} on ${resourceName}`),
  )
  add(
    'SCRAM credentials',
    [...scramUsers.values()].map(({ name }) => name),
  )
  add(
    'quotas',
    [...quotas.values()].map(({ entity, key }) => {
      const names = entity.map(({ entityType, entityName }) => `${entityType} ${entityName ?? '(default)'}`)
      return `${key} of ${names.join(' and ')}`
    }),
  )
  add('delegation tokens', [...delegationTokens.keys()])
  return lines
}
