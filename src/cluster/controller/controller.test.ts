// The controller against a store that fails, forgets to answer, or has another master by now.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerConfig } from '../../config/effective.ts'
import { MemoryDisk } from '../../host/memory-disk.ts'
import { seededRandom } from '../../host/random.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import { ImagePublisher } from '../image-publisher.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { encodeRecord, keys } from '../metadata-records.ts'
import { EmbeddedStore } from '../store/embedded-store.ts'
import { type CommitResult, type Guard, type MetadataStore, type Op, OutcomeUnknown } from '../store/metadata-store.ts'
import { Controller, decodeEpoch, encodeSequence } from './controller.ts'
import { createTopics } from './create-topics.ts'
import { deleteTopics, deleteUnfinishedTopics } from './delete-topics.ts'
import { registerSingleNode } from './register-broker.ts'

const PREFIX = '/moldau/cluster/'
const ETCD_LIMITS = { opsPerCommit: 128, bytesPerCommit: 1.5 * 1024 * 1024 }
const random = seededRandom(8)

const openStore = (disk: MemoryDisk) => EmbeddedStore.open({ disk, directory: '/metadata', random, limits: ETCD_LIMITS })

/** What an election does, without waiting for the last winner to be gone. */
async function elect(store: MetadataStore): Promise<{ controller: Controller; publisher: ImagePublisher }> {
  const { entries } = await store.load(PREFIX + keys.controllerSequence)
  const epoch = entries.length === 0 ? 1 : decodeEpoch(entries[0].value) + 1
  await store.commit([], [{ delete: PREFIX + keys.controller }], [])
  const won = await store.commit(
    [],
    [
      { put: PREFIX + keys.controller, value: encodeRecord({}) },
      { put: PREFIX + keys.controllerSequence, value: encodeSequence(epoch, 0) },
    ],
    [],
  )
  const publisher = await ImagePublisher.start(store, PREFIX)
  const controller = new Controller({ store, publisher, prefix: PREFIX, term: { epoch, controllerCreated: won.revision } })
  await controller.submit((image) =>
    registerSingleNode(image, { id: 1, epoch: 1, incarnation: 'x', endpoints: [], rack: null, logDirs: [], cleanShutdown: true }),
  )
  return { controller, publisher }
}

const context = { nowMs: 0, random, brokerId: 1, config: new BrokerConfig() }

const creation = (name: string, numPartitions: number) => (image: MetadataImage) =>
  createTopics(
    image,
    { topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }], validateOnly: false },
    context,
  )

const notController = (error: unknown) => error instanceof KafkaError && error.code === 'NOT_CONTROLLER'

/** A store whose commits go wrong as a test says. */
class FaultyStore implements MetadataStore {
  readonly limits
  commits = 0
  /** Of the commit with this number, from 1 on: lose the request, lose the answer, or do as asked. */
  fault: (commit: number) => 'request lost' | 'answer lost' | undefined = () => undefined
  private readonly store: MetadataStore

  constructor(store: MetadataStore) {
    this.store = store
    this.limits = store.limits
  }

  async commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult> {
    const fault = this.fault(++this.commits)
    if (fault === 'request lost') throw new OutcomeUnknown('the request was lost')
    const result = await this.store.commit(guards, ops, onFail)
    if (fault === 'answer lost') throw new OutcomeUnknown('the answer was lost')
    return result
  }

  load = (prefix: string) => this.store.load(prefix)
  watch = (prefix: string, after: number) => this.store.watch(prefix, after)
  grantLease = (ttlMs: number) => this.store.grantLease(ttlMs)
  revokeLease = (id: string) => this.store.revokeLease(id)
  identity = () => this.store.identity()
  close = () => this.store.close()
}

async function sequence(store: MetadataStore): Promise<string> {
  return Buffer.from((await store.load(PREFIX + keys.controllerSequence)).entries[0].value).toString()
}

test('a commit of unknown outcome is applied exactly once, whether the request or the answer was lost', async () => {
  const store = new FaultyStore(await openStore(new MemoryDisk()))
  const { controller, publisher } = await elect(store)
  const before = Number((await sequence(store)).split(':')[1])
  const seeded = seededRandom(4)
  let inARow = 0
  store.fault = () => {
    const fault = inARow < 3 ? (['request lost', 'answer lost', undefined, undefined] as const)[seeded.u32() % 4] : undefined
    inARow = fault === undefined ? 0 : inARow + 1
    return fault
  }
  for (let i = 0; i < 40; i++) {
    const [result] = await controller.submit(creation(`t${i}`, 2))
    assert.equal(result.errorCode, 0)
  }
  store.fault = () => undefined
  assert.equal(publisher.image.topicCount, 40)
  assert.equal(await sequence(store), `1:${before + 40}`)
  await publisher.close()
  await store.close()
})

test('a controller that hears of no outcome at all gives up, and is one no more', async () => {
  const store = new FaultyStore(await openStore(new MemoryDisk()))
  const { controller, publisher } = await elect(store)
  store.fault = () => 'request lost'
  await assert.rejects(controller.submit(creation('a', 1)), OutcomeUnknown)
  store.fault = () => undefined
  await assert.rejects(controller.submit(creation('b', 1)), notController)
  assert.equal(publisher.image.topicCount, 0)
  await publisher.close()
  await store.close()
})

test('after another was elected nothing of the old controller is applied', async () => {
  const store = await openStore(new MemoryDisk())
  const old = await elect(store)
  await old.controller.submit(creation('a', 1))
  const next = await elect(store)
  await assert.rejects(
    Promise.all([old.controller.submit(creation('b', 1)), old.controller.submit(creation('c', 1))]),
    notController,
  )
  await assert.rejects(old.controller.submit(creation('d', 1)), notController)
  await next.controller.submit(creation('e', 1))
  assert.deepEqual(
    next.publisher.image
      .topics()
      .map(({ name }) => name)
      .sort(),
    ['a', 'e'],
  )
  await old.publisher.close()
  await next.publisher.close()
  await store.close()
})

test('commands that come together share commits, each decided after the ones before it', async () => {
  const store = new FaultyStore(await openStore(new MemoryDisk()))
  const { controller, publisher } = await elect(store)
  store.commits = 0
  const results = await Promise.all(Array.from({ length: 30 }, (_, i) => controller.submit(creation(`t${i % 20}`, 1))))
  assert.equal(results.filter(([{ errorCode }]) => errorCode === 0).length, 20)
  assert.equal(store.commits, 1)
  await publisher.close()
  await store.close()
})

test('a topic larger than a commit is made in many, and the end of a controller between any two leaves nothing behind', async () => {
  const partitions = 500
  let commits = Number.POSITIVE_INFINITY
  for (let crashAt = 1; crashAt <= commits; crashAt++) {
    const store = new FaultyStore(await openStore(new MemoryDisk()))
    const first = await elect(store)
    store.commits = 0
    store.fault = (commit) => (commit >= crashAt ? 'request lost' : undefined)
    await assert.rejects(first.controller.submit(creation('large', partitions)), OutcomeUnknown)
    store.fault = () => undefined

    const second = await elect(store)
    assert.equal(second.publisher.image.topicCount, 0)
    await second.controller.submit(deleteUnfinishedTopics)
    assert.deepEqual((await store.load(`${PREFIX}p/`)).entries, [])
    store.commits = 0
    await second.controller.submit(creation('large', partitions))
    commits = store.commits
    assert.ok(commits > partitions / ETCD_LIMITS.opsPerCommit)
    assert.equal(second.publisher.image.topic('large')?.partitions.length, partitions)

    await second.controller.submit((image) => deleteTopics(image, [{ name: null, topicId: image.topic('large')!.id }], context))
    assert.equal(second.publisher.image.topicCount, 0)
    assert.deepEqual((await store.load(`${PREFIX}p/`)).entries, [])
    await first.publisher.close()
    await second.publisher.close()
    await store.close()
  }
})

test('a command that fails is answered by itself', async () => {
  const store = await openStore(new MemoryDisk())
  const { controller, publisher } = await elect(store)
  const broken = controller.submit(() => {
    throw new Error('a mistake of ours')
  })
  const good = controller.submit(creation('a', 1))
  await assert.rejects(broken, /a mistake of ours/)
  assert.equal((await good)[0].errorCode, 0)
  await publisher.close()
  await store.close()
})

test('a command that comes just as the last one is answered does not wait for another', async () => {
  const store = await openStore(new MemoryDisk())
  const { controller, publisher } = await elect(store)
  for (let hops = 0; hops < 20; hops++) {
    let hop: Promise<unknown> = controller.submit(creation(`first-${hops}`, 1))
    for (let i = 0; i < hops; i++) hop = hop.then(() => {})
    await hop.then(() => controller.submit(creation(`second-${hops}`, 1)))
  }
  assert.equal(publisher.image.topicCount, 40)
  await publisher.close()
  await store.close()
})

test('a publisher that has missed history loads anew and tells what is different', async () => {
  const disk = new MemoryDisk()
  const store = await EmbeddedStore.open({ disk, directory: '/metadata', random, snapshotAfterBytes: 500 })
  const { controller, publisher } = await elect(store)
  await controller.submit(creation('a', 1))
  const late = await ImagePublisher.start(new LateStore(store), PREFIX)
  const told: string[] = []
  late.onChange((_, delta) =>
    told.push(...delta.createdTopics.map(({ name }) => `+${name}`), ...delta.deletedTopics.map(({ name }) => `-${name}`)),
  )
  await controller.submit((image) => deleteTopics(image, [{ name: null, topicId: image.topic('a')!.id }], context))
  for (let i = 0; i < 10; i++) await controller.submit(creation(`t${i}`, 1))
  await late.reached((await store.identity()).revision)
  assert.deepEqual(
    late.image
      .topics()
      .map(({ name }) => name)
      .sort(),
    publisher.image
      .topics()
      .map(({ name }) => name)
      .sort(),
  )
  assert.deepEqual(told.sort(), ['+t0', '+t1', '+t2', '+t3', '+t4', '+t5', '+t6', '+t7', '+t8', '+t9', '-a'])
  await publisher.close()
  await store.close()
  await late.close()
})

/** A store whose first watch comes so late that what it asks for is gone. */
class LateStore extends FaultyStore {
  private first = true
  private readonly behind: MetadataStore

  constructor(store: MetadataStore) {
    super(store)
    this.behind = store
  }

  override watch = (prefix: string, after: number) => {
    const from = this.first ? this.afterSnapshot(prefix, after) : this.behind.watch(prefix, after)
    this.first = false
    return from
  }

  private async *afterSnapshot(prefix: string, after: number) {
    // Until the store has taken a snapshot: only then is history gone.
    while ((await this.behind.identity()).revision < after + 9) await new Promise((resolve) => setImmediate(resolve))
    yield* this.behind.watch(prefix, after)
  }
}
