// A scenario is one load and the brokers that it makes sense for. Scenarios of a family share a broker's life; families are files.

import type { Load } from '../loads/load.ts'

export interface Scenario {
  /** Unique within its family. */
  readonly name: string
  /** A sentence that says all that a reader of the figures must know, the client included. */
  readonly title: string
  readonly brokers: readonly string[]
  readonly load: Load
}

export interface Family {
  readonly name: string
  readonly title: string
  readonly scenarios: readonly Scenario[]
  /** Each scenario gets brokers that have done nothing before. */
  readonly fresh?: boolean
}

/** Ours in both promises, and Kafka. */
export const WRITTEN = ['moldau', 'moldau-os', 'kafka']
/** And Kafka where it flushes what it acknowledges, as ours does for acks=all: each of ours has its equal. */
export const BOTH_PROMISES = [...WRITTEN, 'kafka-flush']
/** Reading is the same under either promise. */
export const READING = ['moldau', 'kafka']
