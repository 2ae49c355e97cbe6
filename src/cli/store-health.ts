// How the etcd of a cluster is doing, and what it says of the cluster: each member asked by itself.

import { readFile } from 'node:fs/promises'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import { etcdOptions } from './metadata-store.ts'

export interface ObservedMember {
  readonly address: string
  /** Why it did not answer. */
  readonly problem?: string
  readonly version?: string
  readonly bytes?: number
  readonly isLeader?: boolean
  /** There is no leader that it knows of. */
  readonly leaderless?: boolean
  /** What it complains of: NOSPACE, CORRUPT. */
  readonly alarms?: readonly string[]
  readonly raftIndex?: number
}

export interface StoreObservation {
  readonly members: readonly ObservedMember[]
  /** Undefined where no member answered, or no cluster lives there. */
  readonly metadata:
    | {
        readonly clusterId: string
        readonly revision: number
        readonly controller: number | null
        readonly controllerEpoch: number
        readonly brokers: readonly ObservedRegistration[]
      }
    | undefined
}

export interface ObservedRegistration {
  readonly id: number
  readonly epoch: number
  readonly machine: string | null
  readonly fenced: boolean
  readonly stopping: boolean
  /** It holds its lease. */
  readonly alive: boolean
}

/** @throws {ConfigError} where the address makes no sense */
export async function lookAtStore(address: string | undefined, configFile: string | undefined): Promise<StoreObservation> {
  const file = configFile === undefined ? undefined : { path: configFile, text: await readFile(configFile, 'utf8') }
  const settings = address === undefined ? [] : [{ key: 'cluster.store', value: address, origin: '--cluster' }]
  const options = await etcdOptions(loadStaticConfig({ file, environment: process.env, settings }).config)
  const { EtcdStore } = await import('../cluster/store/etcd-store.ts')
  let metadata: StoreObservation['metadata']
  const members = await Promise.all(
    options.members.map(async (member): Promise<ObservedMember> => {
      try {
        const store = await EtcdStore.open({ ...options, members: [member] })
        try {
          const { version, dbSize, leader, header, errors, raftIndex } = await store.status()
          metadata ??= await readMetadata(store)
          const alarms = errors.map((error) => /\b(NOSPACE|CORRUPT)\b/.exec(error)?.[0] ?? error)
          const [leaderId, ownId] = [leader.toString(), header.member_id.toString()]
          return {
            address: member,
            version,
            bytes: dbSize.toNumber(),
            isLeader: leaderId === ownId,
            leaderless: leaderId === '0',
            alarms,
            raftIndex: raftIndex.toNumber(),
          }
        } finally {
          await store.close()
        }
      } catch (error) {
        return { address: member, problem: (error as Error).message }
      }
    }),
  )
  return { members, metadata }
}

async function readMetadata(
  store: import('../cluster/store/metadata-store.ts').MetadataStore,
): Promise<StoreObservation['metadata']> {
  const { clusterPrefix, decodeRecord, ROOT } = await import('../cluster/metadata-records.ts')
  const { ImagePublisher } = await import('../cluster/image-publisher.ts')
  const founded = (await store.load(`${ROOT}founded`)).entries[0]
  if (founded === undefined) return undefined
  const clusterId = decodeRecord(founded.key, founded.value)['id'] as string
  const publisher = await ImagePublisher.start(store, clusterPrefix(clusterId))
  const { image } = publisher
  await publisher.close()
  return {
    clusterId,
    revision: image.revision,
    controller: image.controller?.brokerId ?? null,
    controllerEpoch: Number(image.controllerSequence.split(':')[0] || 0),
    brokers: registrationsOf(image),
  }
}

function registrationsOf(image: MetadataImage): ObservedRegistration[] {
  return image
    .brokers()
    .map(({ id, epoch, machine, fenced, inControlledShutdown }) => ({
      id,
      epoch,
      machine,
      fenced,
      stopping: inControlledShutdown,
      alive: image.alive(id) !== undefined,
    }))
    .sort((a, b) => a.id - b.id)
}
