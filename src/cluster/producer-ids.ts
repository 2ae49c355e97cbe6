// Hands out producer ids from blocks that it takes from the metadata store by itself, without the controller.

import { allocateProducerIds, type ProducerIdBlock } from './controller/allocate-producer-ids.ts'
import { keys } from './metadata-records.ts'
import { type MetadataStore, OutcomeUnknown } from './store/metadata-store.ts'

export class ProducerIds {
  private readonly store: MetadataStore
  private readonly prefix: string
  private block: ProducerIdBlock = { first: 0n, end: 0n }
  private taking: Promise<void> | undefined

  constructor(store: MetadataStore, prefix: string) {
    this.store = store
    this.prefix = prefix
  }

  /** An id that no producer of this cluster has ever had. @throws {StoreError} */
  async next(): Promise<bigint> {
    while (this.block.first === this.block.end) {
      this.taking ??= this.takeBlock().finally(() => {
        this.taking = undefined
      })
      await this.taking
    }
    const id = this.block.first
    this.block = { first: id + 1n, end: this.block.end }
    return id
  }

  private async takeBlock(): Promise<void> {
    const key = this.prefix + keys.producerIds
    for (;;) {
      const { entries } = await this.store.load(key)
      const { block, guards, ops } = allocateProducerIds(entries.find((entry) => entry.key === key))
      try {
        const result = await this.store.commit(
          guards.map((guard) => ({ ...guard, key: this.prefix + guard.key })),
          ops.map((op) => ('put' in op ? { ...op, put: this.prefix + op.put } : op)),
          [],
        )
        if (!result.ok) continue
        this.block = block
        return
      } catch (error) {
        // Perhaps the block is taken. Then nobody will use it, and the next one is ours.
        if (!(error instanceof OutcomeUnknown)) throw error
      }
    }
  }
}
