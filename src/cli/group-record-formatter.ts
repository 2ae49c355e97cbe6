// Records of __consumer_offsets as JSON, one a line: positions, or groups.

import type { ConsumerRecord } from '../client/fetched-records.ts'
import { decodeGroupRecord, GroupMetadataRecord, OffsetCommitRecord } from '../protocol/internal-records/group-records.ts'
import { messageJson } from './message-json.ts'
import type { RecordFormatter } from './record-formatter.ts'

const SHOWN = { OffsetsMessageFormatter: OffsetCommitRecord, GroupMetadataMessageFormatter: GroupMetadataRecord } as const

/** Skips all other kinds of records. Throws DecodeError for bytes that are not what their first two say. */
export function groupRecordFormatter(name: keyof typeof SHOWN): RecordFormatter {
  const shown = SHOWN[name]
  return {
    format({ key, value }: ConsumerRecord): Buffer {
      const record = key === null ? undefined : decodeGroupRecord(key, value)
      if (key === null || record === undefined || record.type !== shown.name) return Buffer.alloc(0)
      const type = key.readInt16BE(0)
      const keyJson = `{"type":${type},"data":${messageJson(shown.key, 0, record.key)}}`
      const version = value === null ? 0 : value.readInt16BE(0)
      const valueJson =
        value === null ? 'null' : `{"version":${version},"data":${messageJson(shown.value, version, record.value)}}`
      return Buffer.from(`{"key":${keyJson},"value":${valueJson}}\n`)
    },
  }
}
