// What the group coordinator writes to `__consumer_offsets`, as values: the runtime stores them, `Groups.replay` takes them in.

import type { GroupMetadataValue, GroupRecord } from '../../protocol/internal-records/group-records.ts'
import { decodeGroupRecord, GroupMetadataRecord, OffsetCommitRecord } from '../../protocol/internal-records/group-records.ts'
import { Outcome } from '../runtime/outcome.ts'
import type { RecordCodec } from '../runtime/partition-runtime.ts'
import type { RebalanceTimer } from './classic-group.ts'
import type { SessionTimer } from './member.ts'
import type { CommittedOffset } from './offsets.ts'

export type GroupTimer = SessionTimer | RebalanceTimer

export class GroupOutcome<Response> extends Outcome<Response, GroupRecord, GroupTimer> {}

export const groupCodec: RecordCodec<GroupRecord> = {
  encode(record) {
    switch (record.type) {
      case 'OffsetCommit':
        return {
          key: OffsetCommitRecord.encodeKey(record.key),
          value: record.value && OffsetCommitRecord.encodeValue(record.value),
        }
      case 'GroupMetadata':
        return {
          key: GroupMetadataRecord.encodeKey(record.key),
          value: record.value && GroupMetadataRecord.encodeValue(record.value),
        }
    }
  },
  decode: decodeGroupRecord,
}

export function offsetRecord(group: string, topic: string, partition: number, committed: CommittedOffset | null): GroupRecord {
  return {
    type: 'OffsetCommit',
    key: { group, topic, partition },
    value: committed && {
      offset: committed.offset,
      leaderEpoch: committed.leaderEpoch,
      metadata: committed.metadata,
      commitTimestamp: BigInt(committed.commitTimestampMs),
      expireTimestamp: committed.expireTimestampMs === null ? -1n : BigInt(committed.expireTimestampMs),
      topicId: committed.topicId,
    },
  }
}

export function groupRecord(group: string, value: GroupMetadataValue | null): GroupRecord {
  return { type: 'GroupMetadata', key: { group }, value }
}
