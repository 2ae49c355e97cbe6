// SimEtcd must be to a broker what etcd is: the suite of all stores, and what only a store that is elsewhere can do.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeConformance } from '../cluster/store/conformance.test.ts'
import { type MetadataStore, OutcomeUnknown, StoreError } from '../cluster/store/metadata-store.ts'
import { ManualClock } from '../host/manual-clock.ts'
import { seededRandom } from '../host/random.ts'
import { type Journey, SimEtcd } from './etcd.ts'

const put = (key: string, value = 'x') => ({ put: key, value: Buffer.from(value) })

/** Lets everything happen that waits for nothing but its turn. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

function start(journey?: (handle: string, kind: string) => Journey) {
  const clock = new ManualClock()
  const etcd = new SimEtcd({ clock, random: seededRandom(1), journey })
  return { clock, etcd, a: etcd.handle('a', clock), b: etcd.handle('b', clock) }
}

async function keys(store: MetadataStore): Promise<string[]> {
  return (await store.load('')).entries.map(({ key }) => key)
}

storeConformance('the simulated etcd', async () => {
  const { a } = start()
  return a
})

test('what one handle commits another one sees, and is told', async () => {
  const { a, b } = start()
  const { revision } = await a.identity()
  const watch = b.watch('', revision)[Symbol.asyncIterator]()
  await a.commit([], [put('k')], [])
  assert.deepEqual(await keys(b), ['k'])
  const { value } = await watch.next()
  assert.equal(value.kind, 'batch')
  await b.close()
  await a.close()
})

test('a lease lives while its holder does, and goes soon after', async () => {
  const { a, b, clock } = start()
  const lease = await a.grantLease(9_000)
  await a.commit([], [{ ...put('alive'), lease: lease.id }], [])
  for (let i = 0; i < 20; i++) {
    clock.advance(3_000)
    await settle()
  }
  assert.deepEqual(await keys(b), ['alive'])
  assert.equal(lease.confirmedMs, clock.monotonicMs())
  await a.close()
  clock.advance(8_900)
  assert.deepEqual(await keys(b), ['alive'])
  clock.advance(500)
  assert.deepEqual(await keys(b), [])
})

test('a holder whose lease was ended elsewhere is told by the next keep-alive', async () => {
  const { a, b, clock, etcd } = start()
  const lease = await a.grantLease(9_000)
  await a.commit([], [{ ...put('alive'), lease: lease.id }], [])
  assert.equal(etcd.expireLeaseOf('alive'), true)
  clock.advance(3_000)
  await lease.lost
  assert.deepEqual(await keys(b), [])
})

test('behind a cut commits end unknown, reads fail, and watches are silent until it is mended', async () => {
  const { a, b, clock } = start()
  const { revision } = await a.identity()
  const told = a.watch('', revision)[Symbol.asyncIterator]().next()
  a.cut()
  const commit = assert.rejects(a.commit([], [put('mine')], []), OutcomeUnknown)
  const load = assert.rejects(a.load(''), (error: unknown) => error instanceof StoreError && error.reason === 'unavailable')
  await b.commit([], [put('theirs')], [])
  await settle()
  clock.advance(2_000)
  await Promise.all([commit, load])
  assert.deepEqual(await keys(b), ['theirs'])
  a.mend()
  assert.equal((await told).value.kind, 'batch')
  assert.deepEqual(await keys(a), ['theirs'])
})

test('an answer that is lost leaves a commit that was applied', async () => {
  const { a, b, clock } = start((handle, kind) => ({
    thereMs: 0,
    backMs: handle === 'a' && kind === 'commit' ? Number.POSITIVE_INFINITY : 0,
  }))
  const commit = assert.rejects(a.commit([], [put('k')], []), OutcomeUnknown)
  await settle()
  clock.advance(2_000)
  await commit
  assert.deepEqual(await keys(b), ['k'])
})

test('a commit that was given up may still be applied later', async () => {
  const { a, b, clock } = start((handle, kind) => ({ thereMs: handle === 'a' && kind === 'commit' ? 5_000 : 0, backMs: 0 }))
  const commit = assert.rejects(a.commit([], [put('late')], []), OutcomeUnknown)
  clock.advance(2_000)
  await commit
  assert.deepEqual(await keys(b), [])
  clock.advance(3_000)
  await settle()
  assert.deepEqual(await keys(b), ['late'])
})

test('without a leader requests wait, and leases start anew when there is one', async () => {
  const { a, b, clock, etcd } = start()
  const lease = await a.grantLease(9_000)
  await a.commit([], [{ ...put('alive'), lease: lease.id }], [])
  clock.advance(2_900)
  etcd.lose()
  const waiting = b.load('')
  await settle()
  clock.advance(1_500)
  etcd.recover()
  assert.equal((await waiting).entries.length, 1)
  await a.close()
  clock.advance(9_000)
  assert.deepEqual(await keys(b), ['alive'])
  clock.advance(400)
  assert.deepEqual(await keys(b), [])
})

test('a member that lags shows the past in reads and watches; commits compare with the present', async () => {
  const { a, b } = start()
  await a.commit([], [put('k', '1')], [])
  b.lag()
  const { revision } = await a.commit([], [put('k', '2')], [])
  const stale = (await b.load('')).entries[0]
  assert.equal(Buffer.from(stale.value).toString(), '1')
  assert.equal((await b.commit([{ key: 'k', modified: stale.modified }], [put('k', '3')], [])).ok, false)
  const told = b
    .watch('', revision - 1)
    [Symbol.asyncIterator]()
    .next()
  b.mend()
  assert.equal((await told).value.revision, revision)
})

test('a watch from before a compaction hears of it', async () => {
  const { a, etcd } = start()
  const { revision } = await a.identity()
  for (let i = 0; i < 5; i++) await a.commit([], [put('k', String(i))], [])
  etcd.compact()
  const { value } = await a.watch('', revision)[Symbol.asyncIterator]().next()
  assert.equal(value.kind, 'compacted')
})
