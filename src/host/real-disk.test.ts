import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { behavesAsADisk, code } from './disk-conformance.ts'
import { MemoryDisk } from './memory-disk.ts'
import { realDisk } from './real-disk.ts'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'moldau-disk-'))
after(() => fs.rmSync(directory, { recursive: true, force: true }))

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
