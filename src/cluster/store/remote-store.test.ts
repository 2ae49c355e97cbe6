// A store in another process: the suite of all stores over a channel that copies what goes through it, and what a broken one does.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realClock } from '../../host/clock.ts'
import { MemoryDisk } from '../../host/memory-disk.ts'
import { realRandom } from '../../host/random.ts'
import { storeConformance } from './conformance.test.ts'
import { EmbeddedStore } from './embedded-store.ts'
import { OutcomeUnknown, StoreError } from './metadata-store.ts'
import { RemoteStore } from './remote-store.ts'
import type { StoreChannel, StoreMessage } from './store-messages.ts'
import { StoreServer } from './store-server.ts'

const embedded = () => EmbeddedStore.open({ disk: new MemoryDisk(), directory: '/store', random: realRandom })

/** Two ends; what is sent arrives a turn later, as a copy. `cut`: nothing arrives any more, and nobody is told. */
function channelPair(): { near: StoreChannel; far: StoreChannel; cut(): void; close(): void } {
  let isOpen = true
  const end = (): StoreChannel => ({ send() {}, onMessage() {}, onClose() {} })
  const [near, far] = [end(), end()]
  const connect = (from: StoreChannel, to: StoreChannel) => {
    from.send = (message: StoreMessage) => {
      const copy = structuredClone(message)
      queueMicrotask(() => isOpen && to.onMessage(copy))
    }
  }
  connect(near, far)
  connect(far, near)
  const cut = () => {
    isOpen = false
  }
  const close = () => {
    cut()
    near.onClose()
    far.onClose()
  }
  return { near, far, cut, close }
}

async function remote() {
  const store = await embedded()
  const server = new StoreServer(store, realClock)
  const pair = channelPair()
  server.serve(pair.far)
  return { store, server, pair, remote: await RemoteStore.open(pair.near, realClock) }
}

storeConformance('a store of another process', async () => (await remote()).remote)

test('a lease whose holder is silent runs out with its keys; one that is kept alive does not', async () => {
  const { store, server, pair, remote: holder } = await remote()
  const other = channelPair()
  server.serve(other.far)
  const living = await RemoteStore.open(other.near, realClock)
  const [lost, kept] = [await holder.grantLease(150), await living.grantLease(150)]
  await holder.commit([], [{ put: 'lost', value: Buffer.from('1'), lease: lost.id }], [])
  await living.commit([], [{ put: 'kept', value: Buffer.from('1'), lease: kept.id }], [])
  const { revision } = await store.identity()
  pair.cut()
  for await (const change of store.watch('', revision)) {
    if (change.kind !== 'batch') continue
    assert.deepEqual(change.events, [{ delete: 'lost' }])
    break
  }
  assert.deepEqual(
    (await store.load('')).entries.map(({ key }) => key),
    ['kept'],
  )
  await Promise.all([holder.close(), living.close()])
  server.close()
  await store.close()
})

test('when the other process is gone, commits under way are of unknown outcome, and everything else says so', async () => {
  const { store, server, pair, remote: left } = await remote()
  const watch = left.watch('', 0)[Symbol.asyncIterator]()
  const waiting = watch.next()
  const commit = left.commit([], [{ put: 'a', value: Buffer.from('1') }], [])
  pair.close()
  await assert.rejects(commit, OutcomeUnknown)
  assert.equal((await waiting).done, true)
  await assert.rejects(left.load(''), (error) => error instanceof StoreError && error.reason === 'closed')
  server.close()
  await store.close()
})
