// What the log tells whoever runs it: facts, for the broker to put into sentences.

interface OfLog {
  readonly topic: string
  readonly partition: number
}

export type LogEvent =
  /** Recovery found a torn or broken batch where writes had not been synced, and cut the log there. */
  | ({
      readonly event: 'log-cut'
      readonly file: string
      readonly position: number
      readonly endOffset: bigint
      readonly reason: string
      readonly bytesRemoved: number
      readonly segmentsRemoved: number
    } & OfLog)
  /** Bytes that had been synced are damaged: nothing is cut, the log is not served. */
  | ({ readonly event: 'log-failed'; readonly file: string; readonly position: number; readonly reason: string } & OfLog)
  /** The log ends before an offset that had been synced: something outside took data away. */
  | ({ readonly event: 'log-shorter-than-synced'; readonly endOffset: bigint; readonly recoveryPoint: bigint } & OfLog)
  /** A read met a damaged batch. It is served to nobody. */
  | ({ readonly event: 'corrupt-batch'; readonly file: string; readonly position: number; readonly reason: string } & OfLog)
  | ({ readonly event: 'index-rebuilt'; readonly file: string; readonly reason: string } & OfLog)
  | ({
      readonly event: 'segments-deleted'
      readonly count: number
      readonly bytes: number
      readonly logStartOffset: bigint
      readonly reason: 'time' | 'size' | 'start'
    } & OfLog)
  | ({
      readonly event: 'log-compacted'
      readonly segments: number
      readonly bytesBefore: number
      readonly bytesAfter: number
      readonly firstDirtyOffset: bigint
      readonly milliseconds: number
    } & OfLog)
  | ({ readonly event: 'compaction-failed'; readonly error: Error } & OfLog)
  | {
      readonly event: 'logs-loaded'
      readonly directory: string
      readonly logs: number
      /** False: the last shutdown was not a clean one, and logs were scanned. */
      readonly clean: boolean
      readonly milliseconds: number
    }
  | { readonly event: 'directory-offline'; readonly directory: string; readonly error: Error }
  | { readonly event: 'directory-full'; readonly directory: string; readonly error: Error }
  | { readonly event: 'directory-has-room'; readonly directory: string }
  /** A log that belongs to no topic of this broker, by name and id, was renamed, and is kept. */
  | ({ readonly event: 'log-set-aside'; readonly path: string; readonly topicId: string } & OfLog)
  /** One that an earlier start has set aside is still there. */
  | { readonly event: 'stray-log'; readonly path: string }
  /** A directory that is no log's: left alone. */
  | { readonly event: 'stray-directory'; readonly path: string }
  /** Background work (deleting files, retention, checkpoints) failed and will be tried again. */
  | { readonly event: 'background-failure'; readonly path: string; readonly error: Error }

export type Report = (event: LogEvent) => void
