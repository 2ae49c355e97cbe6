// The metadata store of the process that has started this broker (`moldau start --nodes`), reached over the channel that Node gives a
// child. When that process is gone, so is the cluster: this one ends.

import { StartError } from '../broker/start-error.ts'
import { RemoteStore } from '../cluster/store/remote-store.ts'
import type { StoreChannel, StoreMessage } from '../cluster/store/store-messages.ts'
import { realClock } from '../host/clock.ts'

/** What goes over the channel. */
export interface FromParent {
  readonly store: StoreMessage
}
export type FromChild =
  | { readonly store: StoreMessage }
  /** It serves there. */
  | { readonly ready: { readonly host: string; readonly port: number } }

/** @throws {StartError} */
export async function openParentsStore(): Promise<RemoteStore> {
  if (process.send === undefined)
    throw new StartError(
      'cluster.store=parent is for brokers that "moldau start --nodes" starts: give the address of etcd, or nothing',
    )
  const channel: StoreChannel = {
    send: (store) => void process.send!({ store } satisfies FromChild, undefined, undefined, () => {}),
    onMessage() {},
    onClose() {},
  }
  process.on('message', ({ store }: FromParent) => channel.onMessage(store))
  process.on('disconnect', () => {
    channel.onClose()
    process.stderr.write('moldau: the process that has started this broker is gone, and the metadata with it: ending\n')
    // What was acknowledged is on the disk.
    process.exit(1)
  })
  return RemoteStore.open(channel, realClock)
}
