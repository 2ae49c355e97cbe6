// What every metadata store must do, whatever is behind it. Each back end runs this suite from a test of its own.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Change, type Event, type MetadataStore, StoreError } from './metadata-store.ts'

/** A store that takes commits of at least 16 ops, empty. */
export type MakeStore = () => Promise<MetadataStore>

const bytes = (text: string) => Buffer.from(text)
const put = (key: string, value = 'x') => ({ put: key, value: bytes(value) })

/** `key=value`, or `-key` for a deletion. */
const shown = (event: Event) => ('put' in event ? `${event.put.key}=${Buffer.from(event.put.value)}` : `-${event.delete}`)

async function contents(store: MetadataStore, prefix = ''): Promise<string[]> {
  return (await store.load(prefix)).entries.map((entry) => shown({ put: entry }))
}

/** Everything a watch tells up to a revision. */
async function changesUpTo(store: MetadataStore, prefix: string, after: number, upTo: number): Promise<Change[]> {
  const changes: Change[] = []
  for await (const change of store.watch(prefix, after)) {
    changes.push(change)
    if (change.kind === 'compacted' || change.revision >= upTo) break
  }
  return changes
}

const batches = (changes: readonly Change[]) =>
  changes.flatMap((change) => (change.kind === 'batch' ? [`${change.revision}: ${change.events.map(shown).join(' ')}`] : []))

export interface Differences {
  /** Default: true. etcd tells it every ten minutes, and some versions too early: its watches leave it out. */
  readonly tellsProgress?: boolean
}

export function storeConformance(name: string, make: MakeStore, { tellsProgress = true }: Differences = {}): void {
  suite(`${name} is a metadata store`, () => {
    const it = (sentence: string, run: (store: MetadataStore) => Promise<void>) =>
      test(sentence, async () => {
        const store = await make()
        try {
          await run(store)
        } finally {
          await store.close()
        }
      })

    it('a commit is visible when it is answered, at the revision that it names', async (store) => {
      const result = await store.commit([], [put('a/1', 'one'), put('a/2', 'two'), put('b/1')], [])
      assert.ok(result.ok)
      const { revision, entries } = await store.load('a/')
      assert.equal(revision, result.revision)
      assert.deepEqual(
        entries.map(({ key, created, modified, lease }) => [key, created, modified, lease]),
        [
          ['a/1', result.revision, result.revision, null],
          ['a/2', result.revision, result.revision, null],
        ],
      )
      assert.equal(Buffer.from(entries[0].value).toString(), 'one')
    })

    it('revisions grow, and an entry keeps the one that made it until it is deleted', async (store) => {
      const first = await store.commit([], [put('a', '1')], [])
      const second = await store.commit([], [put('a', '2')], [])
      assert.ok(second.revision > first.revision)
      const [entry] = (await store.load('a')).entries
      assert.deepEqual([entry.created, entry.modified], [first.revision, second.revision])
      await store.commit([], [{ delete: 'a' }], [])
      assert.deepEqual(await contents(store), [])
      const third = await store.commit([], [put('a', '3')], [])
      assert.equal((await store.load('a')).entries[0].created, third.revision)
    })

    it('guards compare what made a key, what wrote it last, its absence, and its value', async (store) => {
      const { revision } = await store.commit([], [put('a', '1')], [])
      const passes = async (...guards: Parameters<MetadataStore['commit']>[0]) => (await store.commit(guards, [], [])).ok
      assert.equal(
        await passes({ key: 'a', created: revision }, { key: 'a', modified: revision }, { key: 'a', value: bytes('1') }),
        true,
      )
      assert.equal(await passes({ key: 'b', created: 0 }), true)
      assert.equal(await passes({ key: 'b', modified: 0 }), true)
      assert.equal(await passes({ key: 'a', created: 0 }), false)
      assert.equal(await passes({ key: 'a', modified: revision + 1 }), false)
      assert.equal(await passes({ key: 'a', value: bytes('2') }), false)
      assert.equal(await passes({ key: 'b', value: bytes('') }), false)
      assert.equal(await passes({ key: 'b', created: 0 }, { key: 'a', created: 0 }), false)
    })

    it('a commit with a failed guard changes nothing, and shows the keys that were asked for', async (store) => {
      const { revision } = await store.commit([], [put('a', '1'), put('b', '2')], [])
      const refused = await store.commit([{ key: 'a', created: 0 }], [put('a', '9'), put('c')], ['b', 'nothing'])
      assert.ok(!refused.ok)
      assert.deepEqual(
        refused.seen.map((entry) => shown({ put: entry })),
        ['b=2'],
      )
      assert.deepEqual(await contents(store), ['a=1', 'b=2'])
      assert.equal((await store.load('')).revision, revision)
    })

    it('of two commits with one guard only the first is applied', async (store) => {
      const attempts = ['first', 'second', 'third'].map((value) =>
        store.commit([{ key: 'name', created: 0 }], [put('name', value)], ['name']),
      )
      const results = await Promise.all(attempts)
      assert.equal(results.filter((result) => result.ok).length, 1)
      const winner = (await contents(store))[0]
      for (const result of results)
        if (!result.ok)
          assert.deepEqual(
            result.seen.map((entry) => shown({ put: entry })),
            [winner],
          )
    })

    it('a prefix is deleted in one op, and what only resembles it stays', async (store) => {
      await store.commit([], [put('p/1/0'), put('p/1/1'), put('p/10/0'), put('p/2/0')], [])
      await store.commit([], [{ deletePrefix: 'p/1/' }, { delete: 'not there' }], [])
      assert.deepEqual(await contents(store), ['p/10/0=x', 'p/2/0=x'])
    })

    it('entries are loaded in the order of their keys', async (store) => {
      for (const key of ['m', 'c', 'x', 'a', 'm/1', 'b']) await store.commit([], [put(key)], [])
      assert.deepEqual(
        (await store.load('')).entries.map(({ key }) => key),
        ['a', 'b', 'c', 'm', 'm/1', 'x'],
      )
    })

    it('a commit that writes a key twice, or is too large, is refused and not applied', async (store) => {
      const invalid = (error: unknown) => error instanceof StoreError && error.reason === 'invalid'
      const many = Array.from({ length: store.limits.opsPerCommit + 1 }, (_, i) => put(`k${i}`))
      const manyGuards = many.map(({ put: key }) => ({ key, created: 0 }))
      await assert.rejects(store.commit([], [put('a'), { delete: 'a' }], []), invalid)
      await assert.rejects(store.commit([], [put('p/1'), { deletePrefix: 'p/' }], []), invalid)
      await assert.rejects(store.commit([], many, []), invalid)
      await assert.rejects(store.commit(manyGuards, [put('a')], []), invalid)
      await assert.rejects(store.commit([], [{ put: 'a', value: Buffer.alloc(store.limits.bytesPerCommit + 1) }], []), invalid)
      assert.deepEqual(await contents(store), [])
    })

    it('values are kept byte for byte, empty ones too', async (store) => {
      const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      await store.commit(
        [],
        [
          { put: 'all', value: all },
          { put: 'empty', value: Buffer.alloc(0) },
        ],
        [],
      )
      const { entries } = await store.load('')
      assert.deepEqual(
        entries.map(({ value }) => Buffer.from(value)),
        [all, Buffer.alloc(0)],
      )
    })

    it('a watch tells all of a revision at once, in order, what came before it included', async (store) => {
      const before = (await store.identity()).revision
      const first = await store.commit([], [put('w/1', 'a'), put('w/2', 'b'), put('elsewhere')], [])
      const told = changesUpTo(store, 'w/', before, first.revision + 2)
      const second = await store.commit([], [{ delete: 'w/1' }, put('w/2', 'c')], [])
      const third = await store.commit([], [{ deletePrefix: 'w/' }], [])
      assert.deepEqual(batches(await told), [
        `${first.revision}: w/1=a w/2=b`,
        `${second.revision}: -w/1 w/2=c`,
        `${third.revision}: -w/2`,
      ])
    })

    it('a watch goes on exactly behind the revision that it is given', async (store) => {
      const revisions: number[] = []
      for (let i = 0; i < 10; i++) revisions.push((await store.commit([], [put('k', String(i))], [])).revision)
      const told = batches(await changesUpTo(store, 'k', revisions[5], revisions[9]))
      assert.deepEqual(
        told,
        revisions.slice(6).map((revision, i) => `${revision}: k=${i + 6}`),
      )
    })

    const itTellsProgress = tellsProgress ? it : () => {}
    itTellsProgress('a watch says how far it is where nothing happens below its prefix', async (store) => {
      const before = (await store.identity()).revision
      const { revision } = await store.commit([], [put('elsewhere')], [])
      const changes = await changesUpTo(store, 'w/', before, revision)
      assert.deepEqual(batches(changes), [])
      assert.deepEqual(changes.at(-1), { kind: 'progress', revision })
    })

    it('a watch that nobody reads holds nobody up, and misses nothing', async (store) => {
      const before = (await store.identity()).revision
      const slow = store.watch('k', before)[Symbol.asyncIterator]()
      let last = before
      for (let i = 0; i < 500; i++) last = (await store.commit([], [put('k', String(i))], [])).revision
      let count = 0
      for (;;) {
        const next = await slow.next()
        assert.ok(next.done !== true && next.value.kind === 'batch')
        count++
        if (next.value.revision === last) break
      }
      assert.equal(count, 500)
      await slow.return?.()
    })

    it('a watch that waits can be ended', async (store) => {
      const watch = store.watch('', (await store.identity()).revision)[Symbol.asyncIterator]()
      const waiting = watch.next()
      await watch.return?.()
      assert.equal((await waiting).done, true)
    })

    it('closing the store ends its watches', async (store) => {
      const watch = store.watch('', (await store.identity()).revision)[Symbol.asyncIterator]()
      const waiting = watch.next()
      await store.close()
      assert.equal((await waiting).done, true)
    })

    it('the keys of a lease go when it is revoked, and its holder is told', async (store) => {
      const lease = await store.grantLease(60_000)
      await store.commit([], [{ ...put('alive'), lease: lease.id }, put('stays')], [])
      assert.equal((await store.load('alive')).entries[0].lease, lease.id)
      await lease.revoke()
      await lease.lost
      assert.deepEqual(await contents(store), ['stays=x'])
    })

    it('a key that is written again without its lease outlives it', async (store) => {
      const lease = await store.grantLease(60_000)
      await store.commit([], [{ ...put('k', '1'), lease: lease.id }], [])
      await store.commit([], [put('k', '2')], [])
      await lease.revoke()
      assert.deepEqual(await contents(store), ['k=2'])
    })

    it('a lease that does not exist holds no keys', async (store) => {
      await assert.rejects(store.commit([], [{ ...put('k'), lease: 'no such lease' }], []), StoreError)
      assert.deepEqual(await contents(store), [])
    })

    it('many commits at once are all applied, each as if it were alone', async (store) => {
      await store.commit([], [put('counter', '0')], [])
      const increment = async () => {
        for (;;) {
          const [counter] = (await store.load('counter')).entries
          const next = String(Number(Buffer.from(counter.value).toString()) + 1)
          const { ok } = await store.commit([{ key: 'counter', modified: counter.modified }], [put('counter', next)], [])
          if (ok) return
        }
      }
      await Promise.all(Array.from({ length: 20 }, increment))
      assert.deepEqual(await contents(store), ['counter=20'])
    })
  })
}
