// What a coordinator needs of the world. The broker hands in the real things, tests hand in what they can steer.

import type { TransactionResult } from '../../protocol/records/control-record.ts'

/** Who writes in a transaction. */
export interface Producer {
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** Ends what the producer has written to the partition since the marker before it. */
export interface TransactionMarker extends Producer {
  readonly result: TransactionResult
  /** Of the coordinator of the transaction. */
  readonly coordinatorEpoch: number
}

/** One record of an internal topic; a null value is a tombstone. */
export interface LogRecord {
  readonly key: Buffer
  readonly value: Buffer | null
  /** Whose transaction it is part of, if it is of any: it counts once that is committed. */
  readonly producer?: Producer
}

export interface LogMarker {
  readonly marker: TransactionMarker
}

export type LogEntry = LogRecord | LogMarker

export function isMarker(entry: LogEntry): entry is LogMarker {
  return 'marker' in entry
}

/** One partition of an internal topic, as its leader sees it. */
export interface CoordinatorLog {
  /**
   * Appends records and markers in order. Neighbours of the same producer, or of none, are one batch: after a crash all of them are
   * there, or none. Resolves once everything is committed (every in-sync replica has it, and it is durable as the log's policy
   * says); rejects if that failed or took too long, with a KafkaError where there is a code for it. Called with one append at a
   * time. Not bound by `max.message.bytes`: a group of thousands is one record.
   */
  append(entries: readonly LogEntry[]): Promise<void>
  /**
   * Replays every record and every marker of the log in order, those of failed appends that stayed in it included. Resolves when
   * all that was replayed is committed. Buffers are only looked at during the call.
   */
  load(replay: ReplayRecord, replayMarker: (marker: TransactionMarker) => void): Promise<void>
}

export type ReplayRecord = (
  key: Buffer,
  value: Buffer | null,
  offset: bigint,
  timestamp: bigint,
  producer: Producer | undefined,
) => void

export interface CoordinatorClock {
  /** Milliseconds since 1970: what is stored. */
  wallMs(): number
  /** Milliseconds that never go back: what is waited for. */
  monotonicMs(): number
  timer(delayMs: number, run: () => void): { cancel(): void }
}

/** Takes lines for the broker's log: a cause makes it an error. */
export type Report = (line: string, cause?: unknown) => void
