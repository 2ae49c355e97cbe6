import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Disk, DiskFile } from '../host/disk.ts'
import { behavesAsADisk, code } from '../host/disk-conformance.ts'
import { SimDisk } from './disk.ts'
import { Simulation } from './simulation.ts'

/** The disk with its simulation pushed on by each call: for callers who only wait. */
function driven<T extends Disk | DiskFile>(simulation: Simulation, object: T): T {
  return new Proxy(object, {
    get(_target, name) {
      const member = object[name as keyof T]
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) => {
        const result = await simulation.settle(Promise.resolve(member.apply(object, args)))
        const isFile = typeof result === 'object' && result !== null && ('sync' in result || 'release' in result)
        return isFile ? driven(simulation, result as DiskFile) : result
      }
    },
  })
}

const conforming = new Simulation(1)
behavesAsADisk('simulated disk', driven(conforming, SimDisk.create(conforming)), '/sim')

/** Runs `work` on a disk of its own for each seed. */
async function onEachSeed(
  seeds: number,
  work: (disk: SimDisk, run: <T>(p: Promise<T>) => Promise<T>, simulation: Simulation) => Promise<void>,
) {
  for (let seed = 0; seed < seeds; seed++) {
    const simulation = new Simulation(seed)
    const disk = SimDisk.create(simulation)
    await simulation.settle(disk.makeDirectory('/d'))
    await work(disk, (promise) => simulation.settle(promise), simulation)
  }
}

async function withContents(disk: SimDisk, run: <T>(p: Promise<T>) => Promise<T>, contents: Buffer): Promise<DiskFile> {
  const file = await run(disk.open('/d/f', 'write'))
  await run(file.write([contents], 0))
  return file
}

test('what was synced, name and contents, survives every power cut', () =>
  onEachSeed(50, async (disk, run) => {
    const file = await withContents(disk, run, Buffer.alloc(3000, 1))
    await run(file.sync())
    await run(disk.syncDirectory('/d'))
    const next = disk.crash()
    assert.deepEqual(next.peek('/d/f'), Buffer.alloc(3000, 1))
    assert.deepEqual(next.crash().peek('/d/f'), Buffer.alloc(3000, 1))
  }))

test('a power cut keeps, loses, tears and reorders unsynced writes, and may leave zeros in their place', async () => {
  const found = new Set<string>()
  await onEachSeed(200, async (disk, run) => {
    const file = await withContents(disk, run, Buffer.alloc(512, 1))
    await run(file.sync())
    await run(disk.syncDirectory('/d'))
    await run(file.write([Buffer.alloc(512, 2)], 512))
    await run(file.write([Buffer.alloc(512, 3)], 1024))
    const left = disk.crash().peek('/d/f')!
    assert.ok(left.subarray(0, 512).equals(Buffer.alloc(512, 1)))
    // Each sector in a word: all of one byte, or a mixture, or missing.
    const words = [512, 1024].map((at) => {
      const bytes = new Set(left.subarray(at, at + 512))
      return bytes.size === 0 ? 'missing' : bytes.size > 1 ? 'torn' : [...bytes].join()
    })
    found.add(words.join())
  })
  for (const outcome of ['missing,missing', '2,3', '2,missing', '0,3', '2,0', '0,0', '2,torn', 'torn,3']) {
    assert.ok(found.has(outcome), `${outcome} in ${[...found].join(' ')}`)
  }
})

test('what a sync does not cover is what came while it was under way', async () => {
  let lost = 0
  await onEachSeed(60, async (disk, run, simulation) => {
    const file = await withContents(disk, run, Buffer.alloc(10, 1))
    await run(disk.syncDirectory('/d'))
    const sync = file.sync()
    await run(file.write([Buffer.alloc(10, 2)], 10))
    await simulation.settle(sync)
    const left = disk.crash().peek('/d/f')!
    assert.ok(left.subarray(0, 10).equals(Buffer.alloc(10, 1)))
    if (left.length < 20 || left[19] !== 2) lost++
  })
  assert.ok(lost > 10)
})

test('names are lost with the power until their directory is synced, and a kill loses none', async () => {
  let kept = 0
  await onEachSeed(100, async (disk, run) => {
    await run(disk.makeDirectory('/d/sub'))
    await run(disk.syncDirectory('/d'))
    const file = await run(disk.open('/d/sub/old', 'write'))
    await run(disk.syncDirectory('/d/sub'))
    await run(disk.rename('/d/sub/old', '/d/sub/new'))
    await run(file.close())
    const killed = disk.kill()
    assert.deepEqual(killed.peekNames('/d/sub'), ['new'])
    const names = killed.crash().peekNames('/d/sub')
    assert.equal(names.length, 1, 'a rename is done or not')
    if (names[0] === 'new') kept++
  })
  assert.ok(kept > 10 && kept < 90)
})

test('replacing a file leaves the old contents or the new ones, whenever the power goes', async () => {
  const found = new Set<string>()
  await onEachSeed(100, async (disk, run, simulation) => {
    await run(disk.replaceFile('/d/f', Buffer.from('old')))
    void disk.replaceFile('/d/f', Buffer.from('new'))
    for (let steps = simulation.stream('test').below(8); steps > 0; steps--) await simulation.step()
    found.add(disk.crash().peek('/d/f')!.toString())
  })
  assert.deepEqual([...found].sort(), ['new', 'old'])
})

test('after a failed sync the next one succeeds, and what the first should have kept is gone', async () => {
  let lost = 0
  await onEachSeed(60, async (disk, run) => {
    const file = await withContents(disk, run, Buffer.alloc(600, 1))
    await run(disk.syncDirectory('/d'))
    disk.faults = [{ under: '/d/f', kinds: ['sync'], code: 'EIO', nth: 1 }]
    await assert.rejects(run(file.sync()), code('EIO'))
    await run(file.sync())
    const left = disk.kill().peek('/d/f')!
    if (!left.equals(Buffer.alloc(600, 1))) lost++
  })
  assert.ok(lost > 20)
})

test('a disk that fills up takes what fits, fails the rest with ENOSPC, and has room again when files go', () =>
  onEachSeed(5, async (disk, run) => {
    disk.setCapacity('/d', 1000)
    const file = await withContents(disk, run, Buffer.alloc(800, 1))
    await assert.rejects(run(file.write([Buffer.alloc(300, 2)], 800)), code('ENOSPC'))
    assert.equal(await run(file.size()), 1000)
    await run(file.write([Buffer.alloc(1000, 3)], 0))
    await run(file.truncate(100))
    assert.deepEqual(await run(disk.space('/d')), { totalBytes: 1000, freeBytes: 900 })
    await run(disk.remove('/d/f'))
    assert.equal((await run(disk.space('/d'))).freeBytes, 1000)
  }))

test('the n-th call fails, or calls as often as is asked, only where and of the kind that is asked', () =>
  onEachSeed(5, async (disk, run) => {
    const file = await withContents(disk, run, Buffer.alloc(8))
    disk.faults = [
      { under: '/d/f', kinds: ['read'], code: 'EIO', nth: 2 },
      { under: '/d/other', kinds: ['open'], code: 'EACCES', probability: 1 },
    ]
    await run(file.read(Buffer.alloc(8), 0))
    await assert.rejects(run(file.read(Buffer.alloc(8), 0)), code('EIO'))
    await run(file.read(Buffer.alloc(8), 0))
    await assert.rejects(run(disk.open('/d/other', 'write')), code('EACCES'))
    await run(disk.open('/d/f', 'read'))
  }))

test('calls at the same time come to their ends in an order of the seed, the same each time', async () => {
  const orders = new Set<string>()
  for (let run = 0; run < 2; run++) {
    await onEachSeed(20, async (disk, _run, simulation) => {
      const done: number[] = []
      await simulation.settle(Promise.all([0, 1, 2, 3].map((i) => disk.exists(`/d/${i}`).then(() => done.push(i)))))
      orders.add(`${simulation.seed}: ${done}`)
    })
  }
  assert.equal(orders.size, 20)
  assert.ok(new Set([...orders].map((order) => order.split(':')[1])).size > 5)
})

test('killing a disk frees locks and leaves calls of the dead unanswered', () =>
  onEachSeed(5, async (disk, run, simulation) => {
    const file = await withContents(disk, run, Buffer.from('kept'))
    assert.ok(await run(disk.lock('/d/.lock')))
    let answered = false
    file.write([Buffer.from('more')], 4).then(() => {
      answered = true
    })
    const next = disk.kill()
    assert.ok(await simulation.settle(next.lock('/d/.lock')))
    assert.equal(next.peek('/d/f')?.subarray(0, 4).toString(), 'kept')
    await simulation.advance(1000)
    assert.equal(answered, false)
  }))
