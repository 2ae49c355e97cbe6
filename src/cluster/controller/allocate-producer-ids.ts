import { decodeRecord, encodeRecord, keys } from '../metadata-records.ts'
import type { Entry, Guard, Op } from '../store/metadata-store.ts'

/** Producer ids taken at once: a crash loses what is left of a block, never gives an id twice. */
export const PRODUCER_ID_BLOCK = 1000n

export interface ProducerIdBlock {
  readonly first: bigint
  /** Exclusive. */
  readonly end: bigint
}

/**
 * The next block of producer ids, and the commit that takes it. Any broker may send that by itself, so that producers can start
 * while a controller is being elected. Keys are relative to the cluster's prefix.
 */
export function allocateProducerIds(current: Entry | undefined): { block: ProducerIdBlock; guards: Guard[]; ops: Op[] } {
  const key = keys.producerIds
  const first = current === undefined ? 0n : BigInt(decodeRecord(key, current.value)['next'] as string)
  const end = first + PRODUCER_ID_BLOCK
  return {
    block: { first, end },
    guards: [{ key, modified: current?.modified ?? 0 }],
    ops: [{ put: key, value: encodeRecord({ next: String(end) }) }],
  }
}
