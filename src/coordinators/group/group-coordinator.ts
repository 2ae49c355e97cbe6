// The group coordinator as the broker sees it: one state machine for each partition of `__consumer_offsets` that this broker leads,
// requests sent to the one their group belongs to, failures turned into the answers that clients understand.

import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { GroupRecord } from '../../protocol/internal-records/group-records.ts'
import type { JoinGroupRequest, JoinGroupResponseInput } from '../../protocol/messages/11-join-group.ts'
import type { HeartbeatRequest, HeartbeatResponseInput } from '../../protocol/messages/12-heartbeat.ts'
import type { LeaveGroupRequest } from '../../protocol/messages/13-leave-group.ts'
import type { SyncGroupRequest, SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import type { OffsetDeleteRequest, OffsetDeleteResponseInput } from '../../protocol/messages/47-offset-delete.ts'
import type { Ticket } from '../runtime/outcome.ts'
import { partitionFor } from '../runtime/partition-for.ts'
import { PartitionRuntime } from '../runtime/partition-runtime.ts'
import type { CoordinatorClock, CoordinatorLog, Report } from '../runtime/ports.ts'
import { type CommitRequest, type CommitResponse, commitOffsets, refusedCommit } from './commit-offsets.ts'
import { commitTransactionalOffsets, type TransactionalCommitRequest } from './commit-transactional-offsets.ts'
import { completeTransaction } from './complete-transaction.ts'
import { deleteGroup } from './delete-groups.ts'
import { deleteOffsets, dropTopicOffsets } from './delete-offsets.ts'
import { describeGroup, type GroupDescription, undescribed } from './describe-groups.ts'
import { expireOffsets } from './expire-offsets.ts'
import { type FetchOffsetsRequest, type FetchOffsetsResponse, fetchOffsets } from './fetch-offsets.ts'
import type { GroupConfig } from './group-config.ts'
import { GroupMachine } from './group-machine.ts'
import { GroupOutcome, type GroupTimer, groupCodec } from './group-records.ts'
import type { Groups, TopicIdOf } from './groups.ts'
import { heartbeat } from './heartbeat.ts'
import { joinGroup } from './join-group.ts'
import { type LeaveResponse, leaveGroup } from './leave-group.ts'
import { type GroupListing, listGroups } from './list-groups.ts'
import type { TransactionEnd, TransactionGuard } from './producers.ts'
import { refusedJoin } from './rebalance.ts'
import { refusedSync, syncGroup } from './sync-group.ts'

export interface GroupCoordinatorOptions {
  readonly config: GroupConfig
  /** Partitions of `__consumer_offsets`: must never change once there is data. */
  readonly partitionCount: () => number
  /** The log of a partition that this broker leads. Called for each load. */
  readonly logFor: (partition: number) => CoordinatorLog
  readonly clock: CoordinatorClock
  /** Version 4, with hyphens: the second half of member ids. */
  readonly uuid: () => string
  /** Guards offsets of a topic that was deleted from one of the same name. Left out, names are all that counts. */
  readonly topicIdOf?: TopicIdOf
  /** Left out, whoever commits in a transaction is believed to be in it. */
  readonly verifyTransaction?: VerifyTransaction
  readonly report: Report
}

/**
 * Asks the coordinator of the transaction whether the partition of `__consumer_offsets` is in it, or to add the partition where the
 * producer leaves that to us (version 5 of TxnOffsetCommit). Answers the error code that the producer is to be told, NONE to go on.
 * Asked before the first write of a transaction to the partition, or its end might miss it (KIP-890).
 */
export type VerifyTransaction = (request: TransactionalCommitRequest, partition: number, version: number) => Promise<number>

/** Who sent a request, and in which version. */
export interface GroupRequestContext {
  readonly version: number
  readonly clientId: string
  /** As Kafka shows it: a slash, then the address. */
  readonly clientHost: string
}

type Runtime = PartitionRuntime<GroupMachine, GroupRecord, GroupTimer>

/** Groups that one sweep looks at before others get their turn. */
const GROUPS_PER_SWEEP = 200
/** Tries to write in a transaction that seems to end each time just when it was found open. */
const VERIFICATIONS = 3
/** What records of `__consumer_offsets` can hold: their strings have an int16 for their length. */
const LONGEST_STRING_BYTES = 32_767
/** What is put behind a client id or an instance id to make a member id. */
const MEMBER_ID_SUFFIX_BYTES = 37

export class GroupCoordinator {
  private readonly options: GroupCoordinatorOptions
  private readonly partitions = new Map<number, Runtime>()
  private sweepTimer: { cancel(): void } | null = null
  private isClosed = false

  constructor(options: GroupCoordinatorOptions) {
    this.options = options
    this.scheduleExpiry()
  }

  /** Of `__consumer_offsets`: its leader coordinates the group. */
  partitionFor(groupId: string): number {
    return partitionFor(groupId, this.options.partitionCount())
  }

  /** This broker leads the partition now. Requests are answered COORDINATOR_LOAD_IN_PROGRESS until this resolves; rejects if its log cannot be read. */
  loadPartition(partition: number): Promise<void> {
    if (this.isClosed) return Promise.reject(new KafkaError('COORDINATOR_NOT_AVAILABLE'))
    const { clock, config, logFor, report, topicIdOf } = this.options
    let runtime = this.partitions.get(partition)
    if (runtime === undefined) {
      runtime = new PartitionRuntime({
        name: `__consumer_offsets-${partition}`,
        create: () => new GroupMachine(config, topicIdOf),
        codec: groupCodec,
        openLog: () => logFor(partition),
        clock,
        report,
      })
      this.partitions.set(partition, runtime)
    }
    return runtime.load()
  }

  /** Another broker leads it now: members are sent there. */
  unloadPartition(partition: number): void {
    this.partitions.get(partition)?.unload()
  }

  /** All who wait are answered COORDINATOR_NOT_AVAILABLE. Nothing more is written. */
  close(): void {
    this.isClosed = true
    this.sweepTimer?.cancel()
    for (const runtime of this.partitions.values()) runtime.unload('COORDINATOR_NOT_AVAILABLE')
    this.partitions.clear()
  }

  // ── members ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Resolves when the rebalance is through, which takes up to the longest rebalance time-out of its members. */
  async joinGroup(request: JoinGroupRequest, context: GroupRequestContext): Promise<JoinGroupResponseInput> {
    const { version, clientId, clientHost } = context
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.options.config
    const refuse = (errorCode: number) => refusedJoin(errorCode, request.memberId)
    let response: JoinGroupResponseInput
    if (!isGroupId(request.groupId)) response = refuse(ErrorCode.INVALID_GROUP_ID)
    else if (!isStorable(request, clientId)) response = refuse(ErrorCode.INVALID_REQUEST)
    else if (request.sessionTimeoutMs < minSessionTimeoutMs || request.sessionTimeoutMs > maxSessionTimeoutMs) {
      response = refuse(ErrorCode.INVALID_SESSION_TIMEOUT)
    } else {
      const join = {
        ...request,
        clientId,
        clientHost,
        requiresKnownMemberId: version >= 4,
        supportsSkippingAssignment: version >= 9,
      }
      response = await this.run<JoinGroupResponseInput>(
        request.groupId,
        (groups, ticket, now) => joinGroup(groups, join, ticket, now, this.options.uuid),
        refuse,
      )
    }
    // Older versions have no null, and librdkafka fails on one.
    return version < 7 && response.protocolName === null ? { ...response, protocolName: '' } : response
  }

  /** Resolves when the leader has assigned. */
  async syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponseInput> {
    if (!isGroupId(request.groupId)) return refusedSync(ErrorCode.INVALID_GROUP_ID)
    return this.run<SyncGroupResponseInput>(
      request.groupId,
      (groups, ticket, now) => syncGroup(groups, request, ticket, now),
      refusedSync,
    )
  }

  heartbeat(request: HeartbeatRequest): HeartbeatResponseInput {
    if (!isGroupId(request.groupId)) return { errorCode: ErrorCode.INVALID_GROUP_ID }
    try {
      return this.runtimeFor(request.groupId).touch((groups) => heartbeat(groups, request))
    } catch (error) {
      const errorCode = codeOf(error)
      // Its session has not begun to count yet: nothing to worry the member with.
      return { errorCode: errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ? ErrorCode.NONE : errorCode }
    }
  }

  /** Up to version 2 one member leaves, and its error is that of the whole. */
  async leaveGroup(request: LeaveGroupRequest, { version }: { readonly version: number }): Promise<LeaveResponse> {
    const { groupId } = request
    const refuse = (errorCode: number) => ({ errorCode, members: [] })
    if (!isGroupId(groupId)) return refuse(ErrorCode.INVALID_GROUP_ID)
    const members = version >= 3 ? request.members : [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
    const response = await this.run<LeaveResponse>(
      groupId,
      (groups, _ticket, now) => leaveGroup(groups, { groupId, members }, now),
      refuse,
    )
    return version >= 3 ? response : refuse(response.errorCode || (response.members[0]?.errorCode ?? ErrorCode.NONE))
  }

  // ── offsets ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Resolves when the offsets are stored. Clients that do not use groups may leave the group id empty. */
  offsetCommit(request: CommitRequest, { version }: { readonly version: number }): Promise<CommitResponse> {
    return this.run<CommitResponse>(
      request.groupId,
      (groups, _ticket, now) => commitOffsets(groups, request, version, now),
      (errorCode) => refusedCommit(request, errorCode),
    )
  }

  /**
   * Resolves when the offsets are stored, pending until `completeTransaction`. In the order of the request.
   */
  async txnOffsetCommit(request: TransactionalCommitRequest, { version }: { readonly version: number }): Promise<CommitResponse> {
    const { groupId } = request
    // Older producers take a coordinator that loads for a failure of theirs.
    const refuse = (errorCode: number) =>
      refusedCommit(
        request,
        version < 2 && errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ? ErrorCode.COORDINATOR_NOT_AVAILABLE : errorCode,
      )
    if (!isGroupId(groupId)) return refuse(ErrorCode.INVALID_GROUP_ID)
    for (let attempt = 0; attempt < VERIFICATIONS; attempt++) {
      const guard = await this.verify(request, version)
      if (typeof guard === 'number') return refuse(guard)
      const response = await this.run<CommitResponse | null>(
        groupId,
        (groups, _ticket, now) => commitTransactionalOffsets(groups, request, guard, now),
        refuse,
      )
      if (response !== null) return response
    }
    return refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  }

  /**
   * Writes the marker that ends a producer's transaction in a partition of `__consumer_offsets`, and lets the offsets that it holds
   * count, or be forgotten. Answers, when that is committed, the error code that WriteTxnMarkers has for the partition.
   */
  async completeTransaction(partition: number, end: TransactionEnd): Promise<number> {
    try {
      const runtime = this.partitions.get(partition)
      if (runtime === undefined) return ErrorCode.NOT_LEADER_OR_FOLLOWER
      return await runtime.run<number>((groups) => completeTransaction(groups, end))
    } catch (error) {
      if (!(error instanceof KafkaError)) this.options.report('ending a transaction failed', error)
      // Whoever sends markers knows of leaders, not of group coordinators.
      return isElsewhere(codeOf(error)) ? ErrorCode.NOT_LEADER_OR_FOLLOWER : codeOf(error)
    }
  }

  /** One group. Answers with the topics and partitions of the request, or with all that the group has committed. */
  offsetFetch(request: FetchOffsetsRequest): Promise<FetchOffsetsResponse> {
    return this.run<FetchOffsetsResponse>(
      request.groupId,
      (groups) => fetchOffsets(groups, request),
      (errorCode) => ({ groupId: request.groupId, errorCode, topics: [] }),
    )
  }

  async offsetDelete(request: OffsetDeleteRequest): Promise<OffsetDeleteResponseInput> {
    const refuse = (errorCode: number) => ({ errorCode, topics: [] })
    if (!isGroupId(request.groupId)) return refuse(ErrorCode.INVALID_GROUP_ID)
    return this.run<OffsetDeleteResponseInput>(request.groupId, (groups) => deleteOffsets(groups, request), refuse)
  }

  /** Topics were deleted: forgets what groups have committed for them. Resolves when that is stored. */
  async onTopicsDeleted(topics: Iterable<string>): Promise<void> {
    const names = new Set(topics)
    await this.sweep(
      (groups) => groups.groupIdsWithOffsets(),
      (groups, groupId) => dropTopicOffsets(groups, groupId, names),
    )
  }

  // ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** In the order asked. Who may do what with them is for the caller to add. */
  describeGroups(groupIds: readonly string[], { version }: { readonly version: number }): Promise<GroupDescription[]> {
    return Promise.all(
      groupIds.map((groupId) =>
        this.run<GroupDescription>(
          groupId,
          (groups) => describeGroup(groups, groupId, version),
          (errorCode) => undescribed(groupId, errorCode),
        ),
      ),
    )
  }

  /** All that this broker coordinates. COORDINATOR_LOAD_IN_PROGRESS while some are not known yet. */
  async listGroups(request: {
    readonly statesFilter: readonly string[]
    readonly typesFilter: readonly string[]
  }): Promise<{ readonly errorCode: number; readonly groups: readonly GroupListing[] }> {
    const { statesFilter, typesFilter } = request
    try {
      const listings = await Promise.all(
        Array.from(this.partitions.values(), (runtime) =>
          runtime
            .run<readonly GroupListing[]>((groups) => listGroups(groups, statesFilter, typesFilter))
            .catch((error) => {
              // Somebody else coordinates these.
              if (codeOf(error) === ErrorCode.NOT_COORDINATOR) return []
              throw error
            }),
        ),
      )
      return { errorCode: ErrorCode.NONE, groups: listings.flat() }
    } catch (error) {
      return { errorCode: codeOf(error), groups: [] }
    }
  }

  /** In the order asked. */
  deleteGroups(groupIds: readonly string[]): Promise<{ readonly groupId: string; readonly errorCode: number }[]> {
    return Promise.all(
      groupIds.map(async (groupId) => ({
        groupId,
        errorCode: isGroupId(groupId)
          ? await this.run<number>(
              groupId,
              (groups) => deleteGroup(groups, groupId),
              (errorCode) => errorCode,
            )
          : ErrorCode.INVALID_GROUP_ID,
      })),
    )
  }

  /** Forgets what has not been used for `offsetsRetentionMs`. Runs by itself every `offsetsRetentionCheckIntervalMs`. */
  async expireOffsets(): Promise<void> {
    await this.sweep(
      (groups) => Array.from(groups.all(), (group) => group.groupId),
      (groups, groupId, now) => expireOffsets(groups, groupId, now),
    )
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private runtimeFor(groupId: string): Runtime {
    const runtime = this.partitions.get(this.partitionFor(groupId))
    if (runtime !== undefined) return runtime
    throw new KafkaError(this.isClosed ? 'COORDINATOR_NOT_AVAILABLE' : 'NOT_COORDINATOR')
  }

  private async run<Response>(
    groupId: string,
    step: (groups: Groups, ticket: Ticket<Response>, now: number) => GroupOutcome<Response>,
    refuse: (errorCode: number) => Response,
  ): Promise<Response> {
    if (!fits(groupId)) return refuse(ErrorCode.INVALID_GROUP_ID)
    try {
      return await this.runtimeFor(groupId).run<Response>(step)
    } catch (error) {
      if (!(error instanceof KafkaError)) this.options.report(`a request for group ${groupId} failed`, error)
      return refuse(codeOf(error))
    }
  }

  /** What to show when the offsets are written, or the error code of why they must not be. */
  private async verify(request: TransactionalCommitRequest, version: number): Promise<TransactionGuard | number> {
    const { verifyTransaction, report } = this.options
    const { groupId } = request
    try {
      const { guard, isOpen } = this.runtimeFor(groupId).touch(({ producers }) =>
        new GroupOutcome<{ guard: TransactionGuard; isOpen: boolean }>().reply({
          guard: producers.guard(request),
          isOpen: producers.isOpen(request),
        }),
      )
      if (isOpen || verifyTransaction === undefined) return guard
      const errorCode = await verifyTransaction(request, this.partitionFor(groupId), version)
      if (errorCode === ErrorCode.NONE) return guard
      // Producers send it to be tried again, which is not among what they expect of a group coordinator.
      return errorCode === ErrorCode.NOT_ENOUGH_REPLICAS ? ErrorCode.COORDINATOR_NOT_AVAILABLE : errorCode
    } catch (error) {
      if (!(error instanceof KafkaError)) report(`a transaction of producer ${request.producerId} could not be verified`, error)
      return codeOf(error)
    }
  }

  /** Takes a step for each of the groups of each partition, a few at a time. What fails is tried again with the next sweep. */
  private async sweep(
    groupIds: (groups: Groups) => Iterable<string>,
    step: (groups: Groups, groupId: string, now: number) => GroupOutcome<number>,
  ): Promise<void> {
    for (const runtime of [...this.partitions.values()]) {
      try {
        const ids = runtime.touch((groups) => new GroupOutcome<string[]>().reply([...groupIds(groups)]))
        for (let start = 0; start < ids.length; start += GROUPS_PER_SWEEP) {
          if (start > 0) await new Promise<void>((resolve) => this.options.clock.timer(0, resolve))
          const some = ids.slice(start, start + GROUPS_PER_SWEEP)
          await Promise.all(some.map((id) => runtime.run<number>((groups, _ticket, now) => step(groups, id, now))))
        }
      } catch (error) {
        // Not served at the moment: whoever takes it over sweeps it, too.
        if (!(error instanceof KafkaError)) this.options.report('sweeping groups failed', error)
      }
    }
  }

  private scheduleExpiry(): void {
    const { clock, config } = this.options
    this.sweepTimer = clock.timer(config.offsetsRetentionCheckIntervalMs, async () => {
      await this.expireOffsets()
      if (!this.isClosed) this.scheduleExpiry()
    })
  }
}

function codeOf(error: unknown): number {
  return error instanceof KafkaError ? error.errorCode : ErrorCode.UNKNOWN_SERVER_ERROR
}

function isElsewhere(errorCode: number): boolean {
  return (
    errorCode === ErrorCode.NOT_COORDINATOR ||
    errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE ||
    errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
  )
}

function isGroupId(groupId: string): boolean {
  return groupId !== '' && fits(groupId)
}

function fits(text: string, spare = 0): boolean {
  return Buffer.byteLength(text) + spare <= LONGEST_STRING_BYTES
}

/** Compact strings of the wire may be longer than what can be stored. */
function isStorable({ groupInstanceId, protocolType, protocols }: JoinGroupRequest, clientId: string): boolean {
  return (
    fits(clientId, MEMBER_ID_SUFFIX_BYTES) &&
    fits(groupInstanceId ?? '', MEMBER_ID_SUFFIX_BYTES) &&
    fits(protocolType) &&
    protocols.every(({ name }) => fits(name))
  )
}
