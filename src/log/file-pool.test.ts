import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Disk } from '../host/disk.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { FilePool, openLogFiles } from './file-pool.ts'

/** A pool of `limit` files on a disk that notes each opening. */
async function poolOf(limit: number) {
  const disk = new MemoryDisk()
  await disk.makeDirectory('/d')
  const opened: string[] = []
  const watched: Disk = Object.create(disk, {
    open: {
      value: (path: string, mode: 'read' | 'write') => {
        opened.push(path.slice('/d/'.length))
        return disk.open(path, mode)
      },
    },
  })
  const pool = new FilePool(watched, limit)
  return { pool, opened, use: (name: string) => pool.use(`/d/${name}`, 'write', async (file) => file.size()) }
}

test('a file that has been used since eviction last came by stays open, one that has not is closed', async () => {
  const { pool, opened, use } = await poolOf(2)
  for (const name of ['a', 'b', 'a', 'c', 'a']) await use(name)
  assert.deepEqual(opened, ['a', 'b', 'c'])
  assert.equal(pool.openFiles, 2)
})

test('the limit holds where all files have been used', async () => {
  const { pool, use } = await poolOf(3)
  for (const name of ['a', 'b', 'c', 'a', 'b', 'c', 'd']) await use(name)
  assert.equal(pool.openFiles, 3)
})

test('a file in use stays open beyond the limit', async () => {
  const { pool, opened, use } = await poolOf(1)
  await pool.use('/d/a', 'write', async (file) => {
    await use('b')
    await file.size()
  })
  await use('c')
  assert.equal(pool.openFiles, 1)
  assert.deepEqual(opened, ['a', 'b', 'c'])
})

test('an empty file is made without being kept open, and empties what is there', async () => {
  const { pool, use } = await poolOf(3)
  await pool.use('/d/a', 'write', (file) => file.write([Buffer.from('left')], 0))
  await pool.createEmpty('/d/a')
  assert.equal(pool.openFiles, 0)
  assert.equal(await use('a'), 0)
})

test('logs leave a quarter of the files that a process may have to connections', () => {
  assert.equal(openLogFiles(1024), 768)
  assert.ok(openLogFiles(1_000_000) < 100_000)
  assert.ok(openLogFiles(undefined) > 0)
})
