// The log directories of an Apache Kafka, looked at from outside: whose they are, whether she runs, what lies in them.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskLock } from '../host/disk.ts'
import { realDisk } from '../host/real-disk.ts'
import {
  isDeletedLogDirectory,
  KAFKA_METADATA_LOG,
  LOCK_FILE,
  META_PROPERTIES,
  PARTITION_METADATA,
  parseLogDirectoryName,
} from '../log/file-names.ts'
import type { NodeIdentity } from '../log/log-directory.ts'
import type { FoundLog } from './adoption.ts'
import { type KraftMetadata, readKraftMetadata } from './kraft-metadata.ts'

/** Why nothing is taken over. */
export class AdoptError extends Error {
  override readonly name = 'AdoptError'
}

/** Held while we read, so that Kafka cannot start meanwhile either. Where there is no lock file no Kafka has ever run. */
export async function lockSource(source: string): Promise<DiskLock[]> {
  const path = join(source, LOCK_FILE)
  if (!(await realDisk.exists(path))) return []
  const lock = await realDisk.lock(path)
  if (lock === undefined) throw new AdoptError(`Kafka uses ${source}: stop it first`)
  return [lock]
}

export async function readIdentity(sources: readonly string[]): Promise<NodeIdentity> {
  const found: NodeIdentity[] = []
  for (const source of sources) {
    const path = join(source, META_PROPERTIES)
    if (!(await realDisk.exists(path)))
      throw new AdoptError(`${source} is no log directory of Kafka: it has no ${META_PROPERTIES}`)
    const text = await readFile(path, 'utf8')
    const value = (key: string) => new RegExp(`^${key}=(.*?)\\s*$`, 'm').exec(text)?.[1]
    const clusterId = value('cluster\\.id')
    const nodeId = value('node\\.id')
    if (clusterId === undefined || nodeId === undefined)
      throw new AdoptError(`${path} does not say node.id and cluster.id: only Kafka with KRaft can be taken over`)
    found.push({ clusterId, nodeId: Number(nodeId) })
  }
  const [first] = found
  const other = found.findIndex(({ clusterId, nodeId }) => clusterId !== first.clusterId || nodeId !== first.nodeId)
  if (other !== -1) throw new AdoptError(`${sources[0]} and ${sources[other]} are not of the same node`)
  return first
}

export async function readMetadata(sources: readonly string[]): Promise<KraftMetadata> {
  for (const source of sources) {
    const path = join(source, KAFKA_METADATA_LOG)
    if (await realDisk.exists(path)) return readKraftMetadata(path)
  }
  throw new AdoptError(
    `there is no ${KAFKA_METADATA_LOG} in ${sources.join(', ')}: name all of Kafka's log.dirs, and its metadata.log.dir`,
  )
}

/** Directories of logs by their names, and those that are none, a line each. */
export async function findLogs(sources: readonly string[]): Promise<{ found: Map<string, FoundLog>; leftOut: string[] }> {
  const found = new Map<string, FoundLog>()
  const leftOut: string[] = []
  for (const source of sources) {
    const entries = await readdir(source, { withFileTypes: true })
    for (const { name } of entries.filter((entry) => entry.isDirectory() && entry.name !== KAFKA_METADATA_LOG)) {
      const path = join(source, name)
      if (parseLogDirectoryName(name) === undefined) {
        if (!isDeletedLogDirectory(name)) leftOut.push(`${path}: is no partition's directory`)
        continue
      }
      if (found.has(name)) throw new AdoptError(`${path} and ${found.get(name)!.path} are both of partition ${name}`)
      const metadata = await readFile(join(path, PARTITION_METADATA), 'utf8').catch(() => '')
      found.set(name, { path, topicId: /^topic_id: *(\S{22})\s*$/m.exec(metadata)?.[1] })
    }
  }
  return { found, leftOut }
}
