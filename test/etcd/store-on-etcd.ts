// The metadata store on etcd's own server: the suite of all stores, and broken connections.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, suite, type TestContext, test } from 'node:test'
import { storeConformance } from '../../src/cluster/store/conformance.test.ts'
import { EtcdStore } from '../../src/cluster/store/etcd-store.ts'
import { type MetadataStore, OutcomeUnknown, StoreError } from '../../src/cluster/store/metadata-store.ts'
import { realClock } from '../../src/host/clock.ts'
import { eventually } from '../support/eventually.ts'
import { type EtcdCluster, startEtcd, startProxy } from './etcd-process.ts'

const put = (key: string, value = 'x') => ({ put: key, value: Buffer.from(value) })
/** Closed with the test, if it gets one. */
async function open(members: readonly string[], t?: TestContext): Promise<EtcdStore> {
  const store = await EtcdStore.open({ members, clock: realClock })
  t?.after(() => store.close())
  return store
}

async function emptied(etcd: EtcdCluster): Promise<MetadataStore> {
  const store = await open(etcd.addresses)
  await store.commit([], [{ deletePrefix: '' }], [])
  return store
}

for (const size of [1, 3]) {
  suite(`${size} member${size > 1 ? 's' : ''}`, async () => {
    const etcd = await startEtcd(size)
    after(() => etcd[Symbol.asyncDispose]())
    storeConformance(`etcd`, () => emptied(etcd), { tellsProgress: false })
  })
}

test('a watch whose connection is cut again and again tells 20,000 events, each once', async (t) => {
  await using etcd = await startEtcd()
  await using proxy = await startProxy(etcd.addresses[0])
  const writer = await open(etcd.addresses, t)
  const reader = await open([proxy.address], t)
  const { revision } = await writer.identity()
  const told: number[] = []
  let events = 0
  const written: number[] = []
  for (let i = 0; i < 200; i++) {
    const ops = Array.from({ length: 100 }, (_, j) => put(`w/${i}/${j}`))
    written.push((await writer.commit([], ops, [])).revision)
    // History is there to catch up with before the watch begins.
    if (i === 100) void follow()
    if (i > 100 && i % 10 === 0) {
      const before = proxy.count
      proxy.cut()
      await eventually(() => proxy.count > before)
    }
  }
  async function follow() {
    for await (const change of reader.watch('w/', revision)) {
      if (change.kind !== 'batch') continue
      told.push(change.revision)
      events += change.events.length
      if (told.length % 37 === 0) proxy.cut()
    }
  }
  await eventually(() => assert.equal(told.length, 200), { withinMs: 30_000 })
  assert.deepEqual(told, written)
  assert.equal(events, 20_000)
  assert.ok(proxy.count > 5, `the proxy cut ${proxy.count} connections`)
})

test('a commit that is sent again after an unknown outcome is applied once', async (t) => {
  await using etcd = await startEtcd()
  await using proxy = await startProxy(etcd.addresses[0])
  const store = await open([proxy.address], t)
  const [direct, key] = [await open(etcd.addresses, t), 'counter']
  await direct.commit([], [put(key, '0')], [])
  let unknown = 0
  let applied = 0
  let done = false
  const cutting = (async () => {
    while (!done) {
      await new Promise((resolve) => setTimeout(resolve, 23))
      proxy.cut()
    }
  })()
  for (let n = 0; n < 300; n++) {
    for (let attempt = 1; ; attempt++) {
      try {
        const guard = { key, value: Buffer.from(String(n)) }
        const result = await store.commit([guard], [put(key, String(n + 1))], [key])
        if (result.ok) break
        assert.ok(attempt > 1, 'refused at the first attempt')
        assert.equal(Buffer.from(result.seen[0].value).toString(), String(n + 1))
        applied++
        break
      } catch (error) {
        assert.ok(error instanceof OutcomeUnknown, String(error))
        unknown++
      }
    }
  }
  done = true
  await cutting
  const [entry] = (await direct.load(key)).entries
  assert.equal(Buffer.from(entry.value).toString(), '300')
  assert.ok(unknown > 0 && applied <= unknown, `${unknown} unknown outcomes, ${applied} of them applied`)
})

test('a compacted watch says so, and a load goes on from there', async (t) => {
  await using etcd = await startEtcd(1, ['--auto-compaction-mode', 'revision', '--auto-compaction-retention', '1'])
  const store = await open(etcd.addresses, t)
  const { revision } = await store.identity()
  let last = 0
  for (let i = 0; i < 20; i++) last = (await store.commit([], [put('k', String(i))], [])).revision
  const compact = spawnSync('etcdctl', ['--endpoints', etcd.addresses[0], 'compact', String(last)], {
    env: { ...process.env, ETCDCTL_API: '3' },
  })
  assert.equal(compact.status, 0, String(compact.stderr))
  const { value } = await store.watch('', revision)[Symbol.asyncIterator]().next()
  assert.equal(value.kind, 'compacted')
  const loaded = await store.load('')
  assert.equal(loaded.revision, last)
})

test('the leader of three members is killed: reads and commits go on with the others, a lease lives, a watch misses nothing', async (t) => {
  await using etcd = await startEtcd(3)
  const store = await open(etcd.addresses, t)
  const { revision } = await store.identity()
  const lease = await store.grantLease(5_000)
  await store.commit([], [{ ...put('alive'), lease: lease.id }], [])
  const told: string[] = []
  void (async () => {
    for await (const change of store.watch('n/', revision))
      if (change.kind === 'batch') for (const event of change.events) if ('put' in event) told.push(event.put.key)
  })()
  for (let n = 0; n < 100; n++) {
    if (n === 30) await etcd.members[0].kill()
    if (n === 60) await etcd.members[0].start()
    if (n === 61) etcd.members[1].pause()
    if (n === 80) etcd.members[1].resume()
    await eventually(() => store.commit([], [put(`n/${n}`)], []), { withinMs: 20_000 })
  }
  await eventually(() => assert.equal(new Set(told).size, 100), { withinMs: 20_000 })
  assert.deepEqual((await store.load('alive')).entries.length, 1)
  await lease.revoke()
})

test('a member that nobody runs is refused with a sentence', async () => {
  await assert.rejects(
    open(['127.0.0.1:1']),
    (error: unknown) => error instanceof StoreError && error.reason === 'unavailable' && error.message.includes('127.0.0.1:1'),
  )
})
