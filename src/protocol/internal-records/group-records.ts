// The records of `__consumer_offsets` that classic groups need: who is in a group, and how far it has read.

import { ZERO_UUID } from '../ids.ts'
import { array, bytes, int32, int64, string, uuid, type Value, type ValueInput } from '../schema.ts'
import { recordDecoder, recordType, type StoredRecord } from './record-type.ts'

/**
 * The position of a group in one partition. Values: 1 alone has an expiry time; 3 adds leader epochs (KIP-320); 4 is flexible and
 * carries the topic's id. Written is the oldest that holds everything: 3, unless the client asked for a retention time of its own
 * (OffsetCommit up to version 4), or the topic's id is to be kept.
 */
export const OffsetCommitRecord = recordType('OffsetCommit', {
  id: 1,
  formerIds: [0],
  key: { group: string(), topic: string(), partition: int32() },
  value: {
    versions: '0-4',
    flexible: '4+',
    fields: {
      offset: int64(),
      leaderEpoch: int32('3+').default(-1),
      metadata: string(),
      commitTimestamp: int64(),
      expireTimestamp: int64('1').default(-1n),
      topicId: uuid('4+').tagged(0, '4+'),
    },
    write: ({ expireTimestamp = -1n, topicId = ZERO_UUID }) => (expireTimestamp !== -1n ? 1 : topicId !== ZERO_UUID ? 4 : 3),
  },
})
export type OffsetCommitKey = Value<typeof OffsetCommitRecord.key>
export type OffsetCommitValue = Value<typeof OffsetCommitRecord.value>
export type OffsetCommitValueInput = ValueInput<typeof OffsetCommitRecord.value>

/**
 * A classic group after a rebalance. Values: 1 adds rebalance time-outs; 2 the time of the last change of state; 3 static members
 * (KIP-345), and is what gets written; 4 is flexible (KIP-915).
 */
export const GroupMetadataRecord = recordType('GroupMetadata', {
  id: 2,
  key: { group: string() },
  value: {
    versions: '0-4',
    flexible: '4+',
    fields: {
      protocolType: string(),
      generation: int32(),
      protocol: string().nullable(),
      leader: string().nullable(),
      currentStateTimestamp: int64('2+').default(-1n),
      members: array({
        memberId: string(),
        groupInstanceId: string('3+').nullable().default(null),
        clientId: string(),
        clientHost: string(),
        rebalanceTimeout: int32('1+').default(-1),
        sessionTimeout: int32(),
        subscription: bytes(),
        assignment: bytes(),
      }),
    },
    write: () => 3,
  },
})
export type GroupMetadataKey = Value<typeof GroupMetadataRecord.key>
export type GroupMetadataValue = Value<typeof GroupMetadataRecord.value>
export type GroupMetadataValueInput = ValueInput<typeof GroupMetadataRecord.value>

const types = [OffsetCommitRecord, GroupMetadataRecord]

export type GroupRecord = StoredRecord<(typeof types)[number]>

/** A record of `__consumer_offsets`; `undefined` for one of a type that is not known. Throws DecodeError. */
export const decodeGroupRecord: (key: Buffer, value: Buffer | null) => GroupRecord | undefined = recordDecoder(types)
