// What a controller's command comes to. Commands are pure: (image, command, context) → decision. One file each.

import type { BrokerConfig } from '../../config/effective.ts'
import type { Random } from '../../host/random.ts'
import type { MetadataImage } from '../metadata-image.ts'
import type { Guard, Op } from '../store/metadata-store.ts'

/** Applied together or not at all. Keys are relative to the cluster's prefix. */
export interface Step {
  readonly ops: readonly Op[]
  /** Beyond what the controller guards anyhow: turns a mistake of ours into a refused commit. */
  readonly guards?: readonly Guard[]
}

export interface Decision<R> {
  /** In order. After each of them the metadata is legal, so that a large command may take several commits. */
  readonly steps: readonly Step[]
  /** Given once all steps are committed. */
  readonly reply: R
}

export interface DecisionContext {
  readonly nowMs: number
  readonly random: Random
  /** The broker that the request came to. */
  readonly brokerId: number
  readonly config: BrokerConfig
}

export type Decide<C, R> = (image: MetadataImage, command: C, context: DecisionContext) => Decision<R>
