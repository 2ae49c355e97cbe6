import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerConfig } from '../config/effective.ts'
import { realClock } from '../host/clock.ts'
import { type Disk, DiskError } from '../host/disk.ts'
import { silentLogger } from '../host/logger.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { Broker } from './broker.ts'
import { StartError } from './start-error.ts'

function start(disk: Disk): Promise<Broker> {
  return Broker.start({
    config: new BrokerConfig(new Map([['listeners', 'PLAINTEXT://127.0.0.1:0']])),
    directories: ['/data'],
    disk,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    logger: silentLogger,
  })
}

/** A disk on which every write of this kind fails. */
function failing(code: string, message: string): Disk {
  const disk = new MemoryDisk()
  return new Proxy(disk, {
    get(target, operation: keyof Disk) {
      if (operation === 'makeDirectory') return async (path: string) => Promise.reject(new DiskError(code, path, message))
      const member = target[operation]
      return typeof member === 'function' ? (member as (...args: unknown[]) => unknown).bind(target) : member
    },
  })
}

test('a full disk is one sentence that says what to do', async () => {
  const disk = new MemoryDisk({ capacityBytes: 1 })
  await assert.rejects(start(disk), (error) => error instanceof StartError && /full: make room/.test(error.message))
})

test('a missing permission is one sentence that says what to do', async () => {
  for (const code of ['EACCES', 'EPERM', 'EROFS']) {
    await assert.rejects(
      start(failing(code, 'not allowed')),
      (error) => error instanceof StartError && /^no permission to write \/data/.test(error.message),
    )
  }
})

test('a start that failed leaves nothing behind that would stop the next one', async () => {
  const disk = new MemoryDisk()
  const first = await start(disk)
  await assert.rejects(start(disk), /in use by another broker: stop it/)
  await first.close()
  const again = await start(disk)
  await again.close()
})
