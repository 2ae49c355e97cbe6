// Follows the metadata store: what is below the cluster's prefix becomes an image, each revision a new one, and whoever listens
// is told in turn.

import { type MetadataDelta, MetadataImage } from './metadata-image.ts'
import { type Entry, type Event, type MetadataStore, type Revision, StoreError } from './store/metadata-store.ts'

/** Called with each new image, in order, before anybody who waits for its revision goes on. Must not throw. */
export type ImageListener = (image: MetadataImage, delta: MetadataDelta) => void

interface Waiter {
  readonly revision: Revision
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class ImagePublisher {
  /** The newest. */
  image: MetadataImage
  private readonly store: MetadataStore
  private readonly prefix: string
  private readonly listeners = new Set<ImageListener>()
  private waiters: Waiter[] = []
  private watch: AsyncIterator<unknown> | undefined
  private ended: Error | undefined
  private readonly running: Promise<void>

  private constructor(store: MetadataStore, prefix: string, image: MetadataImage) {
    this.store = store
    this.prefix = prefix
    this.image = image
    this.running = this.follow()
  }

  static async start(store: MetadataStore, prefix: string): Promise<ImagePublisher> {
    return new ImagePublisher(store, prefix, await loadImage(store, prefix))
  }

  /** Returns how to stop listening. */
  onChange(listener: ImageListener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Until the image, and all listeners, have this revision. Rejects when the store can no longer be followed. */
  reached(revision: Revision): Promise<void> {
    if (this.image.revision >= revision) return Promise.resolve()
    if (this.ended !== undefined) return Promise.reject(this.ended)
    return new Promise((resolve, reject) => this.waiters.push({ revision, resolve, reject }))
  }

  async close(): Promise<void> {
    await this.watch?.return?.()
    await this.running
  }

  private async follow(): Promise<void> {
    try {
      let compacted = true
      while (compacted) {
        compacted = false
        const watch = this.store.watch(this.prefix, this.image.revision)[Symbol.asyncIterator]()
        this.watch = watch
        for (let next = await watch.next(); next.done !== true; next = await watch.next()) {
          const change = next.value
          if (change.kind === 'batch') {
            const { image, delta } = this.image.apply(
              change.revision,
              change.events.map((event) => relative(event, this.prefix)),
            )
            this.publish(image, delta)
          } else if (change.kind === 'progress') {
            this.publish(this.image.at(change.revision), undefined)
          } else {
            compacted = true
            const image = await loadImage(this.store, this.prefix)
            this.publish(image, image.since(this.image))
          }
        }
      }
      this.ended = new StoreError('closed', 'the metadata is no longer followed')
    } catch (error) {
      this.ended = error as Error
    }
    for (const { reject } of this.waiters.splice(0)) reject(this.ended)
  }

  private publish(image: MetadataImage, delta: MetadataDelta | undefined): void {
    this.image = image
    if (delta !== undefined) for (const listener of this.listeners) listener(image, delta)
    const waiters = this.waiters
    this.waiters = waiters.filter((waiter) => waiter.revision > image.revision)
    for (const waiter of waiters) if (waiter.revision <= image.revision) waiter.resolve()
  }
}

async function loadImage(store: MetadataStore, prefix: string): Promise<MetadataImage> {
  return imageOf(await store.load(prefix), prefix)
}

/** What lies below the prefix in a store. */
export function imageOf(
  loaded: { readonly revision: Revision; readonly entries: readonly Entry[] },
  prefix: string,
): MetadataImage {
  const { revision, entries } = loaded
  return MetadataImage.empty().apply(
    revision,
    entries.map((entry) => relative({ put: entry }, prefix)),
  ).image
}

function relative(event: Event, prefix: string): Event {
  if ('delete' in event) return { delete: event.delete.slice(prefix.length) }
  return { put: { ...event.put, key: event.put.key.slice(prefix.length) } }
}
