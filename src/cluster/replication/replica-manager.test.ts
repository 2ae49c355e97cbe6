// Logs that a disk does not let be made, and those that lie in a directory which is not there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Disk, DiskError } from '../../host/disk.ts'
import { ManualClock } from '../../host/manual-clock.ts'
import { MemoryDisk } from '../../host/memory-disk.ts'
import { seededRandom } from '../../host/random.ts'
import { defaultLogConfig } from '../../log/log-config.ts'
import { batchOf, settled } from '../../log/log-fixture.ts'
import { LogManager } from '../../log/log-manager.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { MetadataImage } from '../metadata-image.ts'
import { encodePartition, encodeRecord, keys, newPartition } from '../metadata-records.ts'
import { ReplicaManager } from './replica-manager.ts'

const ID = 'topic-t' as TopicId
const events = [
  [keys.topic(ID), encodeRecord({ name: 't', partitionCount: 2, internal: false })] as const,
  [keys.partition(ID, 0), encodePartition(newPartition([1]))] as const,
  [keys.partition(ID, 1), encodePartition(newPartition([1]))] as const,
].map(([key, value]) => ({ put: { key, value, created: 1, modified: 1, lease: null } }))
const { image, delta } = MetadataImage.empty().apply(1, events)

class Node {
  readonly clock = new ManualClock()
  readonly memory: MemoryDisk
  /** Paths that begin so fail. */
  broken = 'nothing'
  /** How: a disk that only refuses is tried again, one that fails never. */
  code = 'EIO'
  logs!: LogManager
  replicas!: ReplicaManager

  constructor(memory = new MemoryDisk()) {
    this.memory = memory
  }

  async open(before: MetadataImage, directories: string[]): Promise<this> {
    const { clock, memory } = this
    const disk = new Proxy<Disk>(memory, {
      get:
        (_, operation: keyof Disk) =>
        async (path: string, ...rest: unknown[]) => {
          if (path.startsWith(this.broken)) throw new DiskError(this.code, path, `${path}: the disk is gone`)
          return (memory[operation] as (...args: unknown[]) => unknown).call(memory, path, ...rest)
        },
    })
    const config = () => defaultLogConfig
    this.logs = await LogManager.open({ disk, clock, random: seededRandom(1), directories, config, report: () => {} })
    this.replicas = new ReplicaManager({ nodeId: 1, logs: this.logs, clock, logConfig: config })
    await this.replicas.load(before)
    return this
  }

  async close(): Promise<void> {
    this.replicas.close()
    await this.logs.close()
  }
}

const leads = (node: Node, index: number) => {
  try {
    return node.replicas.leader('t', index).index === index
  } catch (error) {
    return (error as { code: string }).code
  }
}

test('a log that the disk does not let be made is told as such, and made when it does', async () => {
  const node = await new Node().open(MetadataImage.empty(), ['/a'])
  node.broken = '/a/t-1'
  node.code = 'EACCES'
  await node.replicas.apply(image, delta)
  assert.deepEqual([leads(node, 0), leads(node, 1)], [true, 'KAFKA_STORAGE_ERROR'])
  node.clock.advance(1000)
  await settled()
  assert.equal(leads(node, 1), 'KAFKA_STORAGE_ERROR')
  node.broken = 'nothing'
  node.clock.advance(1000)
  await settled()
  assert.equal(leads(node, 1), true)
  await node.close()
})

test('a log is made in another directory where the first does not let it', async () => {
  const node = await new Node().open(MetadataImage.empty(), ['/a', '/b'])
  node.broken = '/a/t-'
  await node.replicas.apply(image, delta)
  assert.deepEqual([leads(node, 0), leads(node, 1)], [true, true])
  assert.equal(node.logs.get('t', 0)?.directory, '/b')
  await node.close()
})

test('a log that may lie in a directory which is offline is not made anew elsewhere', async () => {
  const first = await new Node().open(MetadataImage.empty(), ['/a', '/b'])
  await first.replicas.apply(image, delta)
  const [there, gone] = [0, 1].map((index) => first.logs.get('t', index)!)
  assert.notEqual(there.directory, gone.directory)
  for (const log of [there, gone]) {
    log.append(batchOf(1), { origin: 'client', leaderEpoch: 0 })
    await log.flush()
  }
  await first.close()
  const node = new Node(first.memory)
  node.broken = gone.directory
  await node.open(image, ['/a', '/b'])
  assert.deepEqual([leads(node, 0), leads(node, 1)], [true, 'KAFKA_STORAGE_ERROR'])
  node.clock.advance(10_000)
  await settled()
  assert.equal(leads(node, 1), 'KAFKA_STORAGE_ERROR')
  await node.close()
  const again = await new Node(first.memory).open(image, ['/a', '/b'])
  assert.deepEqual(
    [0, 1].map((index) => again.logs.get('t', index)?.endOffset),
    [1n, 1n],
  )
  await again.close()
})
