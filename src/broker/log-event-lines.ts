// What happens in the logs, put into sentences for whoever runs the broker.

import type { Logger } from '../host/logger.ts'
import type { LogEvent } from '../log/log-event.ts'

/** Below the first data directory: where the metadata store lives. */
export const METADATA_DIRECTORY = '__cluster_metadata'

export function logEventLines(logger: Logger): (event: LogEvent) => void {
  return (event) => {
    const log = 'topic' in event ? `${event.topic}-${event.partition}` : ''
    switch (event.event) {
      case 'log-cut':
        return logger.warn(
          `${log}: the last shutdown was not clean; cut the log at offset ${event.endOffset} (${event.file}, position ${event.position}): ${event.reason}`,
          { bytesRemoved: event.bytesRemoved, segmentsRemoved: event.segmentsRemoved },
        )
      case 'log-failed':
        return logger.error(`${log}: not served, bytes that were safely on disk are damaged: ${event.reason}`, {
          file: event.file,
          position: event.position,
        })
      case 'log-shorter-than-synced':
        return logger.error(
          `${log}: ends at offset ${event.endOffset} though everything up to ${event.recoveryPoint} had been synced: files were changed or taken away from outside`,
        )
      case 'corrupt-batch':
        return logger.error(`${log}: a damaged batch is not served: ${event.reason}`, {
          file: event.file,
          position: event.position,
        })
      case 'index-rebuilt':
        return logger.warn(`${log}: rebuilt ${event.file}: ${event.reason}`)
      case 'segments-deleted':
        return logger.info(`${log}: deleted ${event.count} segments by ${event.reason}`, {
          bytes: event.bytes,
          logStartOffset: event.logStartOffset,
        })
      case 'log-compacted':
        return logger.info(`${log}: compacted ${event.segments} segments in ${event.milliseconds} ms`, {
          bytesBefore: event.bytesBefore,
          bytesAfter: event.bytesAfter,
        })
      case 'compaction-failed':
        return logger.error(`${log}: compaction failed and will be tried again: ${event.error.message}`)
      case 'logs-loaded':
        // A fresh or cleanly closed directory is no news.
        if (event.clean || event.logs === 0) return
        return logger.warn(
          `${event.directory}: the last shutdown was not clean, checked ${event.logs} logs in ${event.milliseconds} ms`,
        )
      case 'directory-offline':
        return logger.error(`${event.directory} is offline until the broker is started again: ${event.error.message}`)
      case 'directory-full':
        return logger.error(
          `${event.directory} is full: producers are refused until there is room, consumers go on: ${event.error.message}`,
        )
      case 'directory-has-room':
        return logger.info(`${event.directory} has room again: producers are served`)
      case 'log-set-aside':
        return logger.warn(
          `${log}: no topic has the id of this log (${event.topicId}): a deleted one's, or copied here by hand. Kept, but not served, as ${event.path}; docs/operations.md says what to do with it`,
        )
      case 'stray-log':
        return logger.warn(`${event.path} was set aside by an earlier start: remove it if nobody wants it`)
      case 'stray-directory':
        if (event.path.endsWith(`/${METADATA_DIRECTORY}`)) return
        return logger.warn(`${event.path} is no log of this broker: left alone`)
      case 'background-failure':
        return logger.error(`${event.path}: ${event.error.message}; will be tried again`)
    }
  }
}
