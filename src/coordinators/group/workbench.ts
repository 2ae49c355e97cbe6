// For tests: groups without a runtime. Time passes when told to, records are applied as they are written, and answers are looked up
// by the name that the request was sent under. Sends requests with everything filled in that a test does not care about.

import assert from 'node:assert/strict'
import { encodeSubscription } from '../../protocol/consumer-protocol.ts'
import type { ErrorName } from '../../protocol/error-codes.ts'
import { errorName } from '../../protocol/error-codes.ts'
import type { JoinGroupResponseInput } from '../../protocol/messages/11-join-group.ts'
import type { SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import type { TransactionResult } from '../../protocol/records/control-record.ts'
import type { Ticket } from '../runtime/outcome.ts'
import { isMarker, type LogEntry, type LogRecord, type Producer } from '../runtime/ports.ts'
import type { ClassicGroup } from './classic-group.ts'
import { commitOffsets } from './commit-offsets.ts'
import { commitTransactionalOffsets } from './commit-transactional-offsets.ts'
import { completeTransaction } from './complete-transaction.ts'
import { fetchOffsets } from './fetch-offsets.ts'
import { defaultGroupConfig, type GroupConfig } from './group-config.ts'
import type { GroupOutcome, GroupTimer } from './group-records.ts'
import { groupCodec } from './group-records.ts'
import { Groups, type TopicIdOf } from './groups.ts'
import { heartbeat } from './heartbeat.ts'
import { type JoinRequest, joinGroup } from './join-group.ts'
import { leaveGroup } from './leave-group.ts'
import { type SyncRequest, syncGroup } from './sync-group.ts'
import { resumeSessions, wake } from './wake.ts'

export const GROUP = 'g'

interface Named {
  readonly name: string
}

export class Workbench {
  readonly groups: Groups
  /** What would be in the log, in its stored form. */
  readonly entries: LogEntry[] = []
  /** Wall and monotonic time alike. */
  now = 1_000_000
  private readonly timers = new Map<GroupTimer, number>()
  private readonly answers = new Map<string, unknown>()
  private ids = 0

  constructor(config: Partial<GroupConfig> = {}, topicIdOf?: TopicIdOf) {
    this.groups = new Groups({ ...defaultGroupConfig, ...config }, topicIdOf)
  }

  /** Another coordinator takes over what was stored. */
  static restartedFrom(log: readonly LogEntry[], config: Partial<GroupConfig> = {}): Workbench {
    const bench = new Workbench(config)
    bench.entries.push(...log)
    replayInto(bench.groups, log)
    bench.take(resumeSessions(bench.groups, bench.now))
    return bench
  }

  /** The records among the entries. */
  get log(): LogRecord[] {
    return this.entries.filter((entry): entry is LogRecord => !isMarker(entry))
  }

  get group(): ClassicGroup {
    const group = this.groups.get(GROUP)
    assert(group !== undefined, 'the group is there')
    return group
  }

  /** Does what an outcome asks for, as the runtime would if every append succeeded at once. */
  take<R>(outcome: GroupOutcome<R>, name?: string): R {
    for (const { timer, delayMs } of outcome.timers) {
      if (delayMs === null) this.timers.delete(timer)
      else this.timers.set(timer, this.now + delayMs)
    }
    const { producer, marker } = outcome
    for (const record of outcome.records) {
      this.entries.push({ ...groupCodec.encode(record), producer })
      this.groups.replay(record, producer)
    }
    if (marker !== undefined) {
      this.entries.push({ marker })
      this.groups.replayMarker(marker)
    }
    for (const { ticket, response } of outcome.answers) this.put((ticket as unknown as Named).name, response)
    if (name !== undefined && outcome.response !== undefined) this.put(name, outcome.response)
    return outcome.response!
  }

  private put(name: string, response: unknown): void {
    assert(!this.answers.has(name), `${name} is answered once`)
    this.answers.set(name, response)
  }

  /** Lets time pass, and fires what is due on the way. */
  advance(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const [next] = [...this.timers].filter(([, at]) => at <= end).sort(([, a], [, b]) => a - b)
      if (next === undefined) break
      this.timers.delete(next[0])
      this.now = Math.max(this.now, next[1])
      this.take(wake(this.groups, next[0], this.now))
    }
    this.now = end
  }

  /** The answer to the request of this name, taken away; undefined while it is parked. */
  answer<R = JoinGroupResponseInput>(name: string): R | undefined {
    const answer = this.answers.get(name) as R | undefined
    this.answers.delete(name)
    return answer
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends a JoinGroup under a name; `answer(name)` has what came of it. */
  join(name: string, request: Partial<JoinRequest> = {}): void {
    const full: JoinRequest = {
      groupId: GROUP,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      memberId: '',
      groupInstanceId: null,
      protocolType: 'consumer',
      protocols: protocols('range'),
      reason: null,
      clientId: name,
      clientHost: '/10.0.0.1',
      requiresKnownMemberId: true,
      supportsSkippingAssignment: true,
      ...request,
    }
    this.take(
      joinGroup(this.groups, full, ticket(name), this.now, () => `${++this.ids}`),
      name,
    )
  }

  sync(name: string, memberId: string, request: Partial<SyncRequest> = {}): void {
    const full: SyncRequest = {
      groupId: GROUP,
      generationId: this.groups.get(GROUP)?.generationId ?? 0,
      memberId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: [],
      ...request,
    }
    this.take(syncGroup(this.groups, full, ticket(name), this.now), name)
  }

  heartbeat(memberId: string, generationId = this.group.generationId, groupInstanceId: string | null = null): ErrorName {
    return errorName(this.take(heartbeat(this.groups, { groupId: GROUP, memberId, generationId, groupInstanceId })).errorCode)
  }

  leave(...members: { memberId?: string; groupInstanceId?: string }[]): ErrorName[] {
    const identities = members.map(({ memberId = '', groupInstanceId = null as string | null }) => ({
      memberId,
      groupInstanceId,
      reason: null,
    }))
    return this.take(leaveGroup(this.groups, { groupId: GROUP, members: identities }, this.now)).members.map((member) =>
      errorName(member.errorCode),
    )
  }

  commit(topic: string, offset: bigint, from: Partial<CommitFrom> = {}): ErrorName {
    const { memberId = '', generationId = -1, groupInstanceId = null, retentionTimeMs = -1n, metadata = '', version = 8 } = from
    const request = {
      groupId: GROUP,
      generationIdOrMemberEpoch: generationId,
      memberId,
      groupInstanceId,
      retentionTimeMs,
      topics: [
        {
          name: topic,
          partitions: [{ partitionIndex: 0, committedOffset: offset, committedLeaderEpoch: 7, committedMetadata: metadata }],
        },
      ],
    }
    return errorName(this.take(commitOffsets(this.groups, request, version, this.now)).topics[0].partitions[0].errorCode)
  }

  /** In a transaction, by the rules of version 3 on if it tells of a member. */
  commitIn(producer: Producer, topic: string, offset: bigint, from: Partial<CommitFrom> = {}): ErrorName {
    const { memberId = '', generationId = -1, groupInstanceId = null, metadata = '' } = from
    const request = {
      ...producer,
      transactionalId: 'transactional',
      groupId: GROUP,
      generationId,
      memberId,
      groupInstanceId,
      topics: [
        {
          name: topic,
          partitions: [{ partitionIndex: 0, committedOffset: offset, committedLeaderEpoch: 7, committedMetadata: metadata }],
        },
      ],
    }
    const guard = this.groups.producers.guard(producer)
    const response = this.take(commitTransactionalOffsets(this.groups, request, guard, this.now))
    return errorName(response!.topics[0].partitions[0].errorCode)
  }

  end(producer: Producer, result: TransactionResult, transactionVersion = 1, coordinatorEpoch = 0): ErrorName {
    return errorName(this.take(completeTransaction(this.groups, { ...producer, result, transactionVersion, coordinatorEpoch })))
  }

  /** Of partition 0; -1n for none. */
  committed(topic: string): bigint {
    const request = { groupId: GROUP, topics: [{ name: topic, partitionIndexes: [0] }] }
    return this.take(fetchOffsets(this.groups, request)).topics[0].partitions[0].committedOffset
  }

  /** As `committed`, for somebody who insists on stable offsets; the name of the error if there is one. */
  stableOffset(topic: string): bigint | ErrorName {
    const request = { groupId: GROUP, topics: [{ name: topic, partitionIndexes: [0] }], requireStable: true }
    const { errorCode, committedOffset } = this.take(fetchOffsets(this.groups, request)).topics[0].partitions[0]
    return errorCode === 0 ? committedOffset : errorName(errorCode)
  }

  // ── whole conversations ───────────────────────────────────────────────────────────────────────────────────────────

  /** Joins members through to a completed generation; returns their ids, the leader's first. */
  stable(names: readonly string[], request: Partial<JoinRequest> = {}): string[] {
    for (const name of names) this.join(name, { ...request, requiresKnownMemberId: false })
    this.advance(this.groups.config.initialRebalanceDelayMs)
    for (let round = 0; round < names.length && this.group.state === 'PreparingRebalance'; round++) {
      this.advance(this.groups.config.initialRebalanceDelayMs)
    }
    const ids = names.map((name) => {
      const response = this.answer(name)
      assert.equal(response?.errorCode, 0, `${name} has joined`)
      return response.memberId
    })
    this.assign(ids)
    return ids
  }

  /** Everybody syncs; each is assigned its own id as bytes. */
  assign(ids: readonly string[]): void {
    const assignments = ids.map((memberId) => ({ memberId, assignment: Buffer.from(memberId) }))
    for (const id of ids) this.sync(`sync ${id}`, id, { assignments: this.group.isLeader(id) ? assignments : [] })
    for (const id of ids) assert.equal(this.answer<SyncGroupResponseInput>(`sync ${id}`)?.assignment.toString(), id)
    assert.equal(this.group.state, 'Stable')
  }
}

/** What a log says of groups. */
export function groupsIn(entries: readonly LogEntry[]): Groups {
  const groups = new Groups(defaultGroupConfig)
  replayInto(groups, entries)
  return groups
}

function replayInto(groups: Groups, entries: readonly LogEntry[]): void {
  for (const entry of entries) {
    if (isMarker(entry)) groups.replayMarker(entry.marker)
    else groups.replay(groupCodec.decode(entry.key, entry.value)!, entry.producer)
  }
}

const ticket = (name: string): Ticket<never> => ({ name }) as Ticket<never>

interface CommitFrom {
  memberId: string
  generationId: number
  groupInstanceId: string | null
  retentionTimeMs: bigint
  metadata: string
  version: number
}

/** Assignors, each told that this consumer reads topic `t`. */
export function protocols(...names: string[]): JoinRequest['protocols'] {
  return names.map((name) => ({ name, metadata: encodeSubscription({ topics: ['t'] }) }))
}

export const errorOf = (response: { readonly errorCode: number } | undefined): ErrorName | undefined =>
  response && errorName(response.errorCode)
