// What a coordinator needs of the world. The broker hands in the real things, tests hand in what they can steer.

/** One record of an internal topic; a null value is a tombstone. */
export interface LogRecord {
  readonly key: Buffer
  readonly value: Buffer | null
}

/** One partition of an internal topic, as its leader sees it. */
export interface CoordinatorLog {
  /**
   * Appends all records as one batch: after a crash all of them are there, or none. Resolves once they are committed (every in-sync
   * replica has them, and they are durable as the log's policy says); rejects if that failed or took too long, with a KafkaError
   * where there is a code for it. Called with one append at a time. Not bound by `max.message.bytes`: a group of thousands is one record.
   */
  append(records: readonly LogRecord[]): Promise<void>
  /**
   * Replays every record of the log in order, those of failed appends that stayed in it included. Resolves when all that was
   * replayed is committed. Buffers are only looked at during the call.
   */
  load(replay: (key: Buffer, value: Buffer | null, offset: bigint, timestamp: bigint) => void): Promise<void>
}

export interface CoordinatorClock {
  /** Milliseconds since 1970: what is stored. */
  wallMs(): number
  /** Milliseconds that never go back: what is waited for. */
  monotonicMs(): number
  timer(delayMs: number, run: () => void): { cancel(): void }
}

/** Takes lines for the broker's log: a cause makes it an error. */
export type Report = (line: string, cause?: unknown) => void
