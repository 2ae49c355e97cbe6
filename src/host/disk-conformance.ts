// What every disk must do alike: the real one, the one in memory, and the simulated one run these same tests.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { type Disk, DiskError } from './disk.ts'

export const code = (expected: string) => (error: unknown) => error instanceof DiskError && error.code === expected

/** Runs the tests on `disk`, below `root`. */
export function behavesAsADisk(name: string, disk: Disk, root: string): void {
  describe(name, () => {
    before(() => disk.makeDirectory(root))

    test('a write lands at its position, chunk behind chunk', async () => {
      const file = await disk.open(`${root}/chunks`, 'write')
      await file.write([Buffer.from('one'), Buffer.from(''), Buffer.from('two')], 2)
      assert.equal(await file.size(), 8)
      assert.deepEqual(await disk.readFile(`${root}/chunks`), Buffer.from('\0\0onetwo'))
      await file.close()
    })

    test('a write of many chunks and of more than a page comes back whole', async () => {
      const file = await disk.open(`${root}/large`, 'write')
      const chunks = Array.from({ length: 3000 }, (_, i) => Buffer.alloc(100, i % 251))
      await file.write(chunks, 70_001)
      const read = Buffer.alloc(300_000)
      assert.equal(await file.read(read, 70_001), 300_000)
      assert.deepEqual(read, Buffer.concat(chunks))
      await file.close()
    })

    test('a read returns fewer bytes only at the end of the file', async () => {
      const file = await disk.open(`${root}/short`, 'write')
      await file.write([Buffer.from('abcdef')], 0)
      assert.equal(await file.read(Buffer.alloc(4), 4), 2)
      assert.equal(await file.read(Buffer.alloc(4), 6), 0)
      assert.equal(await file.read(Buffer.alloc(4), 600), 0)
      await file.close()
    })

    test('what is written behind a truncated end reads zeros in between', async () => {
      const file = await disk.open(`${root}/holes`, 'write')
      await file.write([Buffer.from('abcdef')], 0)
      await file.truncate(2)
      await file.write([Buffer.from('z')], 5)
      assert.deepEqual(await disk.readFile(`${root}/holes`), Buffer.from('ab\0\0\0z'))
      await file.close()
    })

    test('an open file goes with its name', async () => {
      const file = await disk.open(`${root}/before`, 'write')
      await disk.rename(`${root}/before`, `${root}/after`)
      await file.write([Buffer.from('x')], 0)
      assert.equal((await disk.readFile(`${root}/after`)).toString(), 'x')
      assert.equal(await disk.exists(`${root}/before`), false)
      await disk.remove(`${root}/after`)
      await file.write([Buffer.from('y')], 1)
      assert.equal(await file.size(), 2)
      await file.close()
    })

    test('replacing a file leaves the new contents and nothing else', async () => {
      await disk.makeDirectory(`${root}/replaced`)
      await disk.replaceFile(`${root}/replaced/a`, Buffer.from('a longer text'))
      await disk.replaceFile(`${root}/replaced/a`, Buffer.from('short'))
      assert.equal((await disk.readFile(`${root}/replaced/a`)).toString(), 'short')
      assert.deepEqual(await disk.list(`${root}/replaced`), [{ name: 'a', isDirectory: false }])
    })

    test('a directory is renamed and removed with all that is in it', async () => {
      await disk.makeDirectory(`${root}/tree/sub`)
      await disk.replaceFile(`${root}/tree/sub/leaf`, Buffer.from('leaf'))
      await disk.rename(`${root}/tree`, `${root}/moved`)
      assert.equal(await disk.fileSize(`${root}/moved/sub/leaf`), 4)
      assert.deepEqual(await disk.list(`${root}/moved`), [{ name: 'sub', isDirectory: true }])
      await disk.remove(`${root}/moved`)
      await disk.remove(`${root}/moved`)
      assert.equal(await disk.exists(`${root}/moved/sub/leaf`), false)
    })

    test('what is absent is named in a DiskError with the code ENOENT', async () => {
      await assert.rejects(disk.open(`${root}/absent`, 'read'), code('ENOENT'))
      await assert.rejects(disk.open(`${root}/no/such/file`, 'write'), code('ENOENT'))
      await assert.rejects(disk.readFile(`${root}/absent`), code('ENOENT'))
      await assert.rejects(disk.fileSize(`${root}/absent`), code('ENOENT'))
      await assert.rejects(disk.rename(`${root}/absent`, `${root}/other`), code('ENOENT'))
      await assert.rejects(disk.list(`${root}/absent`), code('ENOENT'))
    })

    test('a lock is held once, and can be taken again when it is released', async () => {
      const lock = await disk.lock(`${root}/.lock`)
      assert.ok(lock)
      assert.equal(await disk.lock(`${root}/.lock`), undefined)
      await lock.release()
      await lock.release()
      const again = await disk.lock(`${root}/.lock`)
      assert.ok(again)
      await again.release()
    })

    test('there is an answer to how much room is left', async () => {
      const { totalBytes, freeBytes } = await disk.space(root)
      assert.ok(totalBytes > 0 && freeBytes > 0 && freeBytes <= totalBytes)
    })
  })
}
