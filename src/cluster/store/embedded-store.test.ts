import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { type Disk, DiskError, type DiskFile } from '../../host/disk.ts'
import { MemoryDisk } from '../../host/memory-disk.ts'
import { seededRandom } from '../../host/random.ts'
import { realDisk } from '../../host/real-disk.ts'
import { storeConformance } from './conformance.test.ts'
import { EmbeddedStore, type EmbeddedStoreOptions } from './embedded-store.ts'
import { type MetadataStore, OutcomeUnknown, StoreError } from './metadata-store.ts'

const DIRECTORY = '/data/metadata'
const ETCD_LIMITS = { opsPerCommit: 128, bytesPerCommit: 1.5 * 1024 * 1024 }

const open = (disk: Disk, options: Partial<EmbeddedStoreOptions> = {}) =>
  EmbeddedStore.open({ disk, directory: DIRECTORY, random: seededRandom(1), ...options })

const put = (key: string, value: string) => ({ put: key, value: Buffer.from(value) })

async function contents(store: MetadataStore): Promise<Record<string, string>> {
  const { entries } = await store.load('')
  return Object.fromEntries(entries.map(({ key, value }) => [key, Buffer.from(value).toString()]))
}

storeConformance('the embedded store in memory', () => open(new MemoryDisk(), { limits: ETCD_LIMITS }))
suite('on a real disk', () => {
  const directories: string[] = []
  storeConformance('the embedded store', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'metadata-store-'))
    directories.push(directory)
    return open(realDisk, { directory: `${directory}/metadata` })
  })
  test('nothing is left behind', async () => {
    for (const directory of directories) await rm(directory, { recursive: true })
  })
})

/** Twenty commits, one after the other and in groups; what the store holds after each. */
async function workload(store: MetadataStore): Promise<Record<string, string>[]> {
  const states: Record<string, string>[] = [await contents(store)]
  const state: Record<string, string> = { ...states[0] }
  const commit = async (i: number) => {
    if (i % 7 === 6) {
      await store.commit([], [{ deletePrefix: 'even/' }, put('last', String(i))], [])
      for (const key of Object.keys(state)) if (key.startsWith('even/')) delete state[key]
    } else {
      const key = `${i % 2 === 0 ? 'even' : 'odd'}/${i}`
      await store.commit([], [put(key, `value ${i}`), put('last', String(i))], [])
      state[key] = `value ${i}`
    }
    state['last'] = String(i)
    states.push({ ...state })
  }
  for (let i = 0; i < 10; i++) await commit(i)
  for (let group = 0; group < 3; group++) await Promise.all([0, 1, 2].map((i) => commit(10 + group * 3 + i)))
  return states
}

/** A disk with the files of another. */
async function copyOf(disk: Disk, change: (name: string, bytes: Buffer) => Buffer = (_, bytes) => bytes): Promise<MemoryDisk> {
  const copy = new MemoryDisk()
  await copy.makeDirectory(DIRECTORY)
  for (const { name } of await disk.list(DIRECTORY)) {
    if (name === 'lock') continue
    await copy.replaceFile(`${DIRECTORY}/${name}`, change(name, await disk.readFile(`${DIRECTORY}/${name}`)))
  }
  return copy
}

const LOG = `${DIRECTORY}/log-00000000000000000000`

test('what was committed is there after a restart, revisions and store id too', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const states = await workload(store)
  const before = await store.load('')
  const identity = await store.identity()
  await store.close()

  const again = await open(disk, { random: seededRandom(2) })
  assert.deepEqual(await contents(again), states.at(-1))
  assert.deepEqual(await again.load(''), before)
  assert.deepEqual(await again.identity(), identity)
  const { revision } = await again.commit([], [put('next', '1')], [])
  assert.equal(revision, before.revision + 1)
  await again.close()
})

test('a log cut at any byte is the state after some of the commits, and takes more', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const states = await workload(store)
  await store.close()
  const length = (await disk.readFile(LOG)).length
  const headerSize = 29
  let last = 0
  for (let cut = headerSize; cut <= length; cut++) {
    const torn = await copyOf(disk, (_, bytes) => bytes.subarray(0, cut))
    const opened = await open(torn)
    const found = await contents(opened)
    const index = states.findIndex((state) => JSON.stringify(state) === JSON.stringify(sorted(found, state)))
    assert.ok(index >= last, `cut at ${cut} of ${length}`)
    last = index
    if (cut % 40 === 0) {
      await opened.commit([], [put('after', String(cut))], [])
      await opened.close()
      const again = await open(torn)
      assert.deepEqual(await contents(again), { ...found, after: String(cut) })
      await again.close()
    } else await opened.close()
  }
  assert.equal(last, states.length - 1)
})

/** With the keys in the order of another object, if they are the same. */
function sorted(object: Record<string, string>, like: Record<string, string>): Record<string, string> {
  return Object.keys(object).length === Object.keys(like).length
    ? Object.fromEntries(Object.keys(like).map((key) => [key, object[key]]))
    : object
}

test('a torn end may hold anything: zeros, or what was on the disk before', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const states = await workload(store)
  await store.close()
  const random = seededRandom(7)
  for (const tail of [Buffer.alloc(4096), random.bytes(700), Buffer.from('{"v":1}'.repeat(100))]) {
    const torn = await copyOf(disk, (_, bytes) => Buffer.concat([bytes, tail]))
    const opened = await open(torn)
    assert.deepEqual(await contents(opened), states.at(-1))
    await opened.close()
  }
})

test('damage below the end is not taken for a torn end: nothing is cut, and the place is named', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await workload(store)
  await store.close()
  const length = (await disk.readFile(LOG)).length
  for (const at of [29, 33, 60, Math.floor(length / 2)]) {
    const damaged = await copyOf(disk, (_, bytes) => {
      const changed = Buffer.from(bytes)
      changed[at] ^= 0x40
      return changed
    })
    await assert.rejects(
      open(damaged),
      (error) => error instanceof StoreError && error.reason === 'corrupt' && /log-0+ is damaged at byte \d+/.test(error.message),
      `byte ${at}`,
    )
    assert.equal((await damaged.readFile(LOG)).length, length)
    // The lock is free: once mended, it opens.
    const lock = await damaged.lock(`${DIRECTORY}/lock`)
    assert.notEqual(lock, undefined)
  }
})

test('a damaged snapshot, a missing one, and a file of something else are named and left alone', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk, { snapshotAfterBytes: 200 })
  await workload(store)
  await store.close()
  const corrupt = (message: RegExp) => (error: unknown) =>
    error instanceof StoreError && error.reason === 'corrupt' && message.test(error.message)

  const flipped = await copyOf(disk, (name, bytes) =>
    name === 'snapshot' ? Buffer.concat([bytes.subarray(0, -1), Buffer.from([7])]) : bytes,
  )
  await assert.rejects(open(flipped), corrupt(/snapshot is damaged/))

  const missing = await copyOf(disk)
  await missing.remove(`${DIRECTORY}/snapshot`)
  await assert.rejects(open(missing), corrupt(/but not the snapshot that it goes on from/))

  const foreign = await copyOf(disk, (name, bytes) => (name.startsWith('log-') ? Buffer.alloc(40, 'x') : bytes))
  await assert.rejects(open(foreign), corrupt(/is not a file of the metadata store/))
})

test('a snapshot replaces the log, and watches from before it hear so', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk, { snapshotAfterBytes: 200 })
  const states = await workload(store)
  const next = await store.watch('', 1)[Symbol.asyncIterator]().next()
  assert.deepEqual(next.value, { kind: 'compacted' })
  await store.close()
  const names = (await disk.list(DIRECTORY)).map(({ name }) => name)
  assert.equal(names.filter((name) => name.startsWith('log-')).length, 1)
  assert.ok(names.includes('snapshot') && !names.includes('log-00000000000000000000'))
  const again = await open(disk)
  assert.deepEqual(await contents(again), states.at(-1))
  await again.close()
})

test('commits that come together share one write and one sync', async () => {
  const disk = new PowerCutDisk(Number.POSITIVE_INFINITY, 1)
  const store = await open(disk)
  const before = disk.steps
  await Promise.all(Array.from({ length: 50 }, (_, i) => store.commit([], [put(`k${i}`, 'x')], [])))
  assert.equal(disk.steps - before, 2)
  await store.close()
})

test('keys of leases do not outlive the process that held them', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  const lease = await store.grantLease(1000)
  const { revision } = await store.commit([], [{ ...put('alive', '1'), lease: lease.id }, put('stays', '1')], [])
  const again = await open(disk.kill())
  assert.deepEqual(await contents(again), { stays: '1' })
  const deleted = await again.watch('alive', revision)[Symbol.asyncIterator]().next()
  assert.deepEqual(deleted.value, { kind: 'batch', revision: revision + 1, events: [{ delete: 'alive' }] })
  await again.close()
})

test('a second process is told that the metadata is in use', async () => {
  const disk = new MemoryDisk()
  const store = await open(disk)
  await assert.rejects(open(disk), (error) => error instanceof StoreError && error.reason === 'locked')
  await store.close()
  await (await open(disk)).close()
})

test('after a failed write nothing is written any more, and what was read stays readable', async () => {
  const disk = new PowerCutDisk(Number.POSITIVE_INFINITY, 1)
  const store = await open(disk)
  await store.commit([], [put('a', '1')], [])
  disk.failSyncs = true
  const attempts = [store.commit([], [put('a', '2')], []), store.commit([{ key: 'a', created: 0 }], [put('b', '1')], [])]
  for (const attempt of attempts) await assert.rejects(attempt, OutcomeUnknown)
  disk.failSyncs = false
  await assert.rejects(store.commit([], [put('a', '3')], []), (error) => error instanceof StoreError && error.reason === 'failed')
  assert.deepEqual(await contents(store), { a: '1' })
  await store.close()
})

test('a power cut at any moment loses nothing that was answered, and applies commits in order', async () => {
  let steps = 0
  for (let cutAfter = 1; ; cutAfter++) {
    const disk = new PowerCutDisk(cutAfter, cutAfter)
    const answered: number[] = []
    const attempted: number[] = []
    await Promise.race([
      disk.off,
      (async () => {
        const store = await open(disk, { snapshotAfterBytes: 150 })
        for (let i = 0; i < 24; i += 2) {
          attempted.push(i, i + 1)
          const both = [i, i + 1].map((n) => store.commit([], [put(`k/${n}`, String(n)), put('last', String(n))], []))
          await Promise.all(both.map((commit, n) => commit.then(() => answered.push(i + n))))
        }
        await store.close()
      })(),
    ])
    const store = await open(disk.afterwards())
    const found = await contents(store)
    const last = found['last'] === undefined ? -1 : Number(found['last'])
    assert.ok(last >= (answered.at(-1) ?? -1), `answered ${answered.at(-1)}, found ${last} after ${cutAfter} steps`)
    assert.ok(last <= (attempted.at(-1) ?? -1))
    for (let i = 0; i <= last; i++) assert.equal(found[`k/${i}`], String(i))
    assert.equal(Object.keys(found).length, last + (last < 0 ? 1 : 2))
    await store.close()
    steps = disk.steps
    if (steps < cutAfter) break
  }
  assert.ok(steps > 30)
})

/**
 * A disk that stops after some steps, each a write, a sync or a change of names. Of what was written to a file and not synced
 * a random beginning is left; names change at once, as replaceFile and a remove that was followed by more work do.
 */
class PowerCutDisk implements Disk {
  steps = 0
  failSyncs = false
  readonly off: Promise<void>
  private readonly cutAfter: number
  private readonly random
  private readonly disk = new MemoryDisk()
  private readonly unsynced = new Map<string, { bytes: Buffer; position: number }[]>()
  private cut = () => {}

  constructor(cutAfter: number, seed: number) {
    this.cutAfter = cutAfter
    this.random = seededRandom(seed)
    this.off = new Promise((resolve) => {
      this.cut = resolve
    })
  }

  /** What the machine finds when it has power again. */
  afterwards(): Disk {
    return this.disk.kill()
  }

  private async step<T>(work: () => Promise<T>): Promise<T> {
    if (this.steps >= this.cutAfter) return this.stop()
    this.steps++
    return work()
  }

  private async stop(): Promise<never> {
    for (const [path, writes] of this.unsynced) {
      if (!(await this.disk.exists(path))) continue
      const file = await this.disk.open(path, 'write')
      for (const { bytes, position } of writes)
        await file.write([bytes.subarray(0, this.random.u32() % (bytes.length + 1))], position)
    }
    this.unsynced.clear()
    this.cut()
    return new Promise<never>(() => {})
  }

  async open(path: string, mode: 'read' | 'write'): Promise<DiskFile> {
    const file = await this.disk.open(path, mode)
    return {
      path,
      read: (target, position) => file.read(target, position),
      write: (chunks, position) =>
        this.step(async () => {
          const writes = this.unsynced.get(path) ?? []
          writes.push({ bytes: Buffer.concat(chunks), position })
          this.unsynced.set(path, writes)
        }),
      sync: () =>
        this.step(async () => {
          if (this.failSyncs) throw new DiskError('EIO', path, 'the disk is failing')
          for (const { bytes, position } of this.unsynced.get(path) ?? []) await file.write([bytes], position)
          this.unsynced.delete(path)
        }),
      truncate: (size) => this.step(() => file.truncate(size)),
      size: () => file.size(),
      close: () => file.close(),
    }
  }

  readFile = (path: string) => this.disk.readFile(path)
  exists = (path: string) => this.disk.exists(path)
  fileSize = (path: string) => this.disk.fileSize(path)
  list = (path: string) => this.disk.list(path)
  lock = (path: string) => this.disk.lock(path)
  space = (path: string) => this.disk.space(path)
  replaceFile = (path: string, contents: Buffer) => this.step(() => this.disk.replaceFile(path, contents))
  rename = (from: string, to: string) => this.step(() => this.disk.rename(from, to))
  remove = (path: string) => this.step(() => this.disk.remove(path))
  makeDirectory = (path: string) => this.step(() => this.disk.makeDirectory(path))
  syncDirectory = (path: string) => this.step(() => this.disk.syncDirectory(path))
}
