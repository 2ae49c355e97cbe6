// A single node becomes the first broker of a cluster: what its own metadata store holds is taken into the one that all will share. Its
// logs stay where they are. Only once, while no broker runs, and into a store in which no cluster lives yet.

import type { Disk } from '../host/disk.ts'
import type { Random } from '../host/random.ts'
import { ClusterIdError, FOUNDED, foundedIn } from './found-cluster.ts'
import { type ClusterRecord, clusterPrefix, decodeRecord, encodeRecord, keys, parseKey, ROOT } from './metadata-records.ts'
import { EmbeddedStore } from './store/embedded-store.ts'
import { type Entry, type MetadataStore, type Op, OutcomeUnknown } from './store/metadata-store.ts'
import { isStoreDirectory } from './store/store-directory.ts'

export interface TakeSingleNodeOptions {
  readonly disk: Disk
  readonly random: Random
  /** Of the single node's metadata. Kept, under another name. */
  readonly directory: string
  /** That all brokers will share. */
  readonly store: MetadataStore
  /** The node's last stop is proven to have lost nothing. */
  readonly cleanShutdown: boolean
}

export interface TakenNode {
  readonly clusterId: string
  readonly entries: number
  /** Where the node's own metadata are now. */
  readonly keptAs: string
}

/** What is bound to a process that is gone. */
const OF_A_PROCESS = new Set(['alive', 'controller'])

/**
 * May be repeated where it was cut short.
 * @throws {ClusterIdError} where another cluster lives in the store @throws {StoreError} locked, corrupt, unavailable @throws {DiskError}
 */
export async function takeSingleNode(options: TakeSingleNodeOptions): Promise<TakenNode> {
  const { disk, random, directory, store, cleanShutdown } = options
  if (!(await isStoreDirectory(disk, directory))) throw new Error(`${directory} holds no metadata of a single node`)
  const own = await EmbeddedStore.open({ disk, directory, random })
  const { revision, entries } = await own.load(ROOT).finally(() => own.close())
  const cluster = entries.find(({ key }) => key.endsWith(`/${keys.cluster}`))
  if (cluster === undefined) throw new Error(`${directory} holds no cluster`)
  const record = decodeRecord(cluster.key, cluster.value) as unknown as ClusterRecord
  const prefix = clusterPrefix(record.id)
  const present = (await store.load(ROOT)).entries
  if (present.some(({ key }) => key === FOUNDED) && foundedIn(present) !== record.id)
    throw new ClusterIdError(`cluster ${foundedIn(present)} lives in that store already, this node is of ${record.id}`)

  const taken = entries.flatMap(({ key, value }): { key: string; value: Uint8Array }[] => {
    if (!key.startsWith(prefix)) return []
    const { kind } = parseKey(key.slice(prefix.length))
    if (OF_A_PROCESS.has(kind)) return []
    // Unknown brokers have lost nothing; one that is known, and comes back without a proof, may have.
    if (kind === 'broker' && cleanShutdown) return []
    // Another store counts from elsewhere: epochs go on above all that this one has handed out.
    if (key === cluster.key) return [{ key, value: encodeRecord({ ...record, epochBase: record.epochBase + revision + 1 }) }]
    return [{ key, value }]
  })
  // An earlier attempt may have got that far, and brokers may have gone on since.
  if (!present.some(({ key }) => key === FOUNDED)) {
    for (const ops of packed(taken, store.limits)) await put(store, record.id, ops)
    // Last: whoever finds it finds all.
    await put(store, record.id, [{ put: FOUNDED, value: encodeRecord({ id: record.id }) }])
  }

  const keptAs = `${directory}.single-node`
  await disk.rename(directory, keptAs)
  return { clusterId: record.id, entries: taken.length, keptAs }
}

function packed(entries: readonly Pick<Entry, 'key' | 'value'>[], limits: MetadataStore['limits']): Op[][] {
  const commits: Op[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const { key, value } of entries) {
    const size = key.length + value.length + 32
    const last = commits.at(-1)
    if (last === undefined || last.length >= limits.opsPerCommit || bytes + size > limits.bytesPerCommit / 2) {
      commits.push([])
      bytes = 0
    }
    commits.at(-1)!.push({ put: key, value })
    bytes += size
  }
  return commits
}

/** The same put twice does no harm. */
async function put(store: MetadataStore, id: string, ops: Op[]): Promise<void> {
  for (;;) {
    try {
      const result = await store.commit([{ key: FOUNDED, created: 0 }], ops, [FOUNDED])
      // The second attempt at the last of them finds the first.
      if (result.ok || decodeRecord(FOUNDED, result.seen[0].value)['id'] === id) return
      throw new ClusterIdError('another cluster was founded in the store meanwhile')
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error
    }
  }
}
