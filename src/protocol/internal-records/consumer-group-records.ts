// The records of `__consumer_offsets` that groups of the new protocol (KIP-848) leave. Read to be shown.

import { array, bytes, int8, int32, int64, string, struct, uuid } from '../schema.ts'
import { recordDecoder, recordType, type StoredRecord } from './record-type.ts'

const values = { versions: '0', flexible: '0+', write: () => 0 }
const group = { groupId: string() }
const member = { groupId: string(), memberId: string() }

const ConsumerGroupMetadata = recordType('ConsumerGroupMetadata', {
  id: 3,
  key: group,
  value: { ...values, fields: { epoch: int32(), metadataHash: int64().default(0n).tagged(0, '0+') } },
})

const ConsumerGroupPartitionMetadata = recordType('ConsumerGroupPartitionMetadata', {
  id: 4,
  key: group,
  value: {
    ...values,
    fields: {
      topics: array({
        topicId: uuid(),
        topicName: string(),
        numPartitions: int32(),
        partitionMetadata: array({ partition: int32(), racks: array(string()) }),
      }),
    },
  },
})

const ConsumerGroupMemberMetadata = recordType('ConsumerGroupMemberMetadata', {
  id: 5,
  key: member,
  value: {
    ...values,
    fields: {
      instanceId: string().nullable(),
      rackId: string().nullable(),
      clientId: string(),
      clientHost: string(),
      subscribedTopicNames: array(string()),
      subscribedTopicRegex: string().nullable(),
      rebalanceTimeoutMs: int32().default(-1),
      serverAssignor: string().nullable(),
      /** Of a member that speaks the classic protocol. */
      classicMemberMetadata: struct({
        sessionTimeoutMs: int32(),
        supportedProtocols: array({ name: string(), metadata: bytes() }),
      })
        .nullable()
        .tagged(0, '0+'),
    },
  },
})

const ConsumerGroupTargetAssignmentMetadata = recordType('ConsumerGroupTargetAssignmentMetadata', {
  id: 6,
  key: group,
  value: { ...values, fields: { assignmentEpoch: int32(), assignmentTimestamp: int64().default(0n).tagged(0, '0+') } },
})

const ConsumerGroupTargetAssignmentMember = recordType('ConsumerGroupTargetAssignmentMember', {
  id: 7,
  key: member,
  value: { ...values, fields: { topicPartitions: array({ topicId: uuid(), partitions: array(int32()) }) } },
})

const topicPartitions = () =>
  array({
    topicId: uuid(),
    partitions: array(int32()),
    assignmentEpochs: array(int32()).nullable().tagged(0, '0+'),
  })

const ConsumerGroupCurrentMemberAssignment = recordType('ConsumerGroupCurrentMemberAssignment', {
  id: 8,
  key: member,
  value: {
    ...values,
    fields: {
      memberEpoch: int32(),
      previousMemberEpoch: int32(),
      state: int8(),
      assignedPartitions: topicPartitions(),
      partitionsPendingRevocation: topicPartitions(),
    },
  },
})

const ConsumerGroupRegularExpression = recordType('ConsumerGroupRegularExpression', {
  id: 16,
  key: { groupId: string(), regularExpression: string() },
  value: { ...values, fields: { topics: array(string()), version: int64(), timestamp: int64() } },
})

export const consumerGroupRecordTypes = [
  ConsumerGroupMetadata,
  ConsumerGroupPartitionMetadata,
  ConsumerGroupMemberMetadata,
  ConsumerGroupTargetAssignmentMetadata,
  ConsumerGroupTargetAssignmentMember,
  ConsumerGroupCurrentMemberAssignment,
  ConsumerGroupRegularExpression,
] as const

export type ConsumerGroupRecord = StoredRecord<(typeof consumerGroupRecordTypes)[number]>

/** A record of `__consumer_offsets`; `undefined` for one of a type that is not among these. Throws DecodeError. */
export const decodeConsumerGroupRecord: (key: Buffer, value: Buffer | null) => ConsumerGroupRecord | undefined =
  recordDecoder(consumerGroupRecordTypes)
