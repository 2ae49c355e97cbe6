// How a cluster begins: somebody writes down its id, once.

import type { Clock } from '../host/clock.ts'
import { type Random, uuid } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { decodeEpoch, encodeSequence } from './controller/controller.ts'
import { type ClusterRecord, clusterPrefix, decodeRecord, encodeRecord, keys, ROOT } from './metadata-records.ts'
import { type Entry, type Guard, type MetadataStore, type Op, OutcomeUnknown } from './store/metadata-store.ts'

/** The data belongs to another cluster than was asked for. */
export class ClusterIdError extends Error {
  override readonly name = 'ClusterIdError'
}

export interface FoundingOptions {
  readonly random: Random
  readonly clock: Clock
  /** Of data that there is already; made up for a new cluster where absent. */
  readonly clusterId?: string
}

/** Outside of all clusters: the id of the one that lives in this store. It keeps two brokers from founding two. */
export const FOUNDED = `${ROOT}founded`

/** The id of the cluster in the store, founded now if there was none. @throws {ClusterIdError} @throws {StoreError} */
export async function joinCluster(store: MetadataStore, { random, clock, clusterId: wanted }: FoundingOptions): Promise<string> {
  const id = wanted ?? uuid(random)
  const record: ClusterRecord = { id, epochBase: 0, createdMs: clock.wallMs() }
  const key = clusterPrefix(id) + keys.cluster
  const guards: Guard[] = [
    { key: FOUNDED, created: 0 },
    { key, created: 0 },
  ]
  const ops: Op[] = [
    { put: FOUNDED, value: encodeRecord({ id }) },
    { put: key, value: encodeRecord(record) },
  ]
  for (;;) {
    try {
      const result = await store.commit(guards, ops, [FOUNDED])
      if (result.ok) return id
      const [founded] = result.seen
      const known = founded === undefined ? id : (decodeRecord(FOUNDED, founded.value)['id'] as string)
      if (wanted !== undefined && known !== wanted)
        throw new ClusterIdError(`the metadata belongs to cluster ${known}, not to ${wanted}`)
      return known
    } catch (error) {
      // The next attempt finds what became of this one.
      if (!(error instanceof OutcomeUnknown)) throw error
    }
  }
}

/** The id of the cluster that somebody has founded in a store. */
export function foundedIn(entries: readonly Entry[]): string {
  const founded = entries.find(({ key }) => key === FOUNDED)
  if (founded === undefined) throw new Error('no cluster was founded there yet')
  return decodeRecord(FOUNDED, founded.value)['id'] as string
}

export interface SingleNode {
  readonly clusterId: string
  readonly controllerEpoch: number
  readonly brokerEpoch: number
  /** When the node became controller. */
  readonly controllerCreated: number
}

/**
 * A node that has its store to itself: founds the cluster if there is none, and makes the node its controller and a living member, in one
 * commit.
 */
export async function takeWholeCluster(
  store: MetadataStore,
  nodeId: number,
  { random, clock, clusterId: wanted }: FoundingOptions,
): Promise<SingleNode> {
  const { entries } = await store.load(ROOT)
  const found = entries.find((entry) => entry.key.endsWith(`/${keys.cluster}`) && entry.key.split('/').length === 4)
  const cluster = found === undefined ? undefined : (decodeRecord(found.key, found.value) as unknown as ClusterRecord)
  if (cluster !== undefined && wanted !== undefined && cluster.id !== wanted) {
    throw new ClusterIdError(`the metadata belongs to cluster ${cluster.id}, not to ${wanted}`)
  }
  const clusterId = cluster?.id ?? wanted ?? uuid(random)
  const prefix = clusterPrefix(clusterId)
  const sequence: Entry | undefined = entries.find((entry) => entry.key === prefix + keys.controllerSequence)
  const controllerEpoch = sequence === undefined ? 1 : decodeEpoch(sequence.value) + 1
  const lease = await store.grantLease(LEASE_MS)

  const guards: Guard[] = [
    { key: prefix + keys.controller, created: 0 },
    { key: prefix + keys.alive(nodeId), created: 0 },
    { key: prefix + keys.controllerSequence, modified: sequence?.modified ?? 0 },
  ]
  const ops: Op[] = [
    { put: prefix + keys.controller, value: encodeRecord({ brokerId: nodeId }), lease: lease.id },
    { put: prefix + keys.alive(nodeId), value: encodeRecord({}), lease: lease.id },
    { put: prefix + keys.controllerSequence, value: encodeSequence(controllerEpoch, 0) },
  ]
  const record: ClusterRecord = cluster ?? { id: clusterId, epochBase: 0, createdMs: clock.wallMs() }
  if (cluster === undefined) {
    guards.push({ key: prefix + keys.cluster, created: 0 })
    ops.push({ put: prefix + keys.cluster, value: encodeRecord(record) })
  }
  const result = await store.commit(guards, ops, [])
  if (!result.ok) throw new KafkaError('DUPLICATE_BROKER_REGISTRATION', `node ${nodeId} is running already`)
  return { clusterId, controllerEpoch, brokerEpoch: record.epochBase + result.revision, controllerCreated: result.revision }
}

/** Silence after which a node counts as gone. A store of its own has nobody to miss it. */
const LEASE_MS = 9000
