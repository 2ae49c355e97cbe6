import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Disk } from './disk.ts'
import { DiskError } from './disk.ts'
import { MemoryDisk } from './memory-disk.ts'
import { realDisk } from './real-disk.ts'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'moldau-disk-'))
after(() => fs.rmSync(directory, { recursive: true, force: true }))

const code = (expected: string) => (error: unknown) => error instanceof DiskError && error.code === expected

/** What every disk must do alike. */
function behavesAsADisk(name: string, disk: Disk, root: string): void {
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

behavesAsADisk('real disk', realDisk, `${directory}/real`)
behavesAsADisk('memory disk', new MemoryDisk(), '/memory')

test('a lock is held against other processes, and free when its holder is killed', async () => {
  const lockFile = path.join(directory, '.lock')
  const holder = spawn(process.execPath, [
    '--input-type=module-typescript',
    '--eval',
    `import { realDisk } from ${JSON.stringify(import.meta.resolve('./real-disk.ts'))}
     await realDisk.lock(${JSON.stringify(lockFile)})
     console.log('held')
     setInterval(() => {}, 1000)`,
  ])
  await once(holder.stdout, 'data')
  assert.equal(await realDisk.lock(lockFile), undefined)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const lock = await realDisk.lock(lockFile)
  assert.ok(lock)
  await lock.release()
  assert.equal(fs.statSync(lockFile).size, 0)
})

test('a lock file of another program is refused and left alone', async () => {
  const lockFile = path.join(directory, 'foreign')
  fs.writeFileSync(lockFile, 'what another program wrote')
  await assert.rejects(realDisk.lock(lockFile), code('EACCES'))
  assert.equal(fs.readFileSync(lockFile, 'utf8'), 'what another program wrote')
})

test('a memory disk that is full refuses to grow files, and takes writes again when there is room', async () => {
  const disk = new MemoryDisk({ capacityBytes: 1024 })
  const file = await disk.open('/a', 'write')
  await file.write([Buffer.alloc(1000)], 0)
  await assert.rejects(file.write([Buffer.alloc(1000)], 1000), code('ENOSPC'))
  await file.write([Buffer.alloc(10)], 0)
  disk.capacityBytes = 4096
  await file.write([Buffer.alloc(1000)], 1000)
  await disk.remove('/a')
  assert.equal((await disk.space('/')).freeBytes, 4096)
})

test('killing a memory disk keeps what was written, frees locks, and leaves calls of the dead unanswered', async () => {
  const disk = new MemoryDisk()
  const file = await disk.open('/a', 'write')
  await disk.lock('/.lock')
  await file.write([Buffer.from('kept')], 0)
  let answered = false
  const late = file.write([Buffer.from('more')], 4)
  late.then(() => {
    answered = true
  })
  const next = disk.kill()
  assert.ok(await next.lock('/.lock'))
  assert.equal((await next.readFile('/a')).subarray(0, 4).toString(), 'kept')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(answered, false)
})
