// Who writes: one of all registries on a topic. They are members of a Kafka group, as Confluent's are (protocol type "sr"), so that both
// can share one; the group's leader names the primary. Whoever is named holds a lease: no longer than the group would wait for it, so
// that it has stopped writing when another begins.

import { type ClusterClient, CoordinatorType, type Lane } from '../client/cluster-client.ts'
import { isRetriable } from '../client/errors.ts'
import type { Logger } from '../host/logger.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { JoinGroup, type JoinGroupResponse } from '../protocol/messages/11-join-group.ts'
import { Heartbeat } from '../protocol/messages/12-heartbeat.ts'
import { LeaveGroup } from '../protocol/messages/13-leave-group.ts'
import { SyncGroup } from '../protocol/messages/14-sync-group.ts'
import { isObject } from './json-text.ts'

/** Where a registry can be reached by the others. */
export interface Identity {
  readonly scheme: string
  readonly host: string
  readonly port: number
}

export interface ElectionOptions {
  readonly cluster: ClusterClient
  readonly groupId: string
  readonly identity: Identity
  /** False for one that only reads and forwards. */
  readonly eligible: boolean
  readonly sessionTimeoutMs: number
  readonly logger: Logger
}

const PROTOCOL_TYPE = 'sr'
const PROTOCOL_NAME = 'v0'
/** Heartbeats for each session that may go missing before the lease is in danger. */
const BEATS_PER_SESSION = 5
const RETRY_MS = 300

export class Election {
  private readonly options: ElectionOptions
  private readonly lane: Lane
  private memberId = ''
  private generationId = -1
  /** The member that writes, by the last assignment. */
  private primaryId = ''
  private primaryIdentity: Identity | undefined
  /** Monotonic: the coordinator has heard of us so late that nobody else is named before this. */
  private leaseUntilMs = 0
  private closed = false
  private waiters: (() => void)[] = []
  /** Ends a pause between heartbeats. */
  private wake: () => void = () => {}
  private running: Promise<void> = Promise.resolve()

  constructor(options: ElectionOptions) {
    this.options = options
    this.lane = options.cluster.newLane()
  }

  start(): void {
    this.running = this.run()
  }

  /** Whether this registry may write now. */
  get isPrimary(): boolean {
    return this.primaryId !== '' && this.primaryId === this.memberId && this.clock.monotonicMs() < this.leaseUntilMs
  }

  /** Changes with each election: what was true of the primary of one need not be of the next. */
  get term(): number {
    return this.generationId
  }

  /** Who writes, as soon as somebody does; undefined if nobody does within the time. */
  async primary(timeoutMs: number): Promise<Identity | 'here' | undefined> {
    const deadline = this.clock.monotonicMs() + timeoutMs
    for (;;) {
      if (this.isPrimary) return 'here'
      if (this.primaryIdentity !== undefined && this.primaryId !== this.memberId) return this.primaryIdentity
      const leftMs = deadline - this.clock.monotonicMs()
      if (leftMs <= 0 || this.closed) return undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      this.waiters.push(resolve)
      const timer = this.clock.timer(leftMs, resolve)
      await promise
      timer.cancel()
    }
  }

  /** Leaves the group, so that another is named at once. */
  async close(): Promise<void> {
    this.closed = true
    this.wake()
    const { memberId } = this
    this.step(undefined, '')
    if (memberId !== '') {
      const { groupId } = this.options
      const leave = this.coordinator().then((connection) =>
        connection.request(
          LeaveGroup,
          { groupId, memberId, members: [{ memberId, reason: 'the schema registry closes' }] },
          { timeoutMs: 1000 },
        ),
      )
      await leave.catch(() => {})
    }
    this.options.cluster.closeLane(this.lane)
    await this.running
  }

  private get clock() {
    return this.options.cluster.clock
  }

  private async run(): Promise<void> {
    const { cluster, logger, sessionTimeoutMs } = this.options
    while (!this.closed) {
      try {
        await this.join()
        while (!this.closed) {
          await this.pause(sessionTimeoutMs / BEATS_PER_SESSION)
          if (!this.closed) await this.heartbeat()
        }
      } catch (error) {
        if (this.closed) return
        this.failed(error)
        const code = error instanceof KafkaError ? error.code : undefined
        if (code === 'REBALANCE_IN_PROGRESS') continue
        if (code === undefined && !isRetriable(error))
          logger.warn('schema registry: no part in the election', { reason: (error as Error).message })
        cluster.learnFrom(error)
        await this.pause(RETRY_MS)
      }
    }
  }

  /** Somebody else may be named from now on. */
  private failed(error: unknown): void {
    const code = error instanceof KafkaError ? error.code : undefined
    if (code === 'UNKNOWN_MEMBER_ID') this.memberId = ''
    // An unreachable coordinator names nobody either: the lease holds to its end.
    if (code === 'REBALANCE_IN_PROGRESS' || code === 'UNKNOWN_MEMBER_ID' || code === 'ILLEGAL_GENERATION') this.leaseUntilMs = 0
  }

  private async join(): Promise<void> {
    const { cluster, groupId, sessionTimeoutMs, eligible, identity } = this.options
    const metadata = Buffer.from(
      JSON.stringify({
        version: 1,
        host: identity.host,
        port: identity.port,
        master_eligibility: eligible,
        scheme: identity.scheme,
      }),
    )
    // The answer comes when the rebalance is over, which waits for a member that is silent.
    const timeoutMs = sessionTimeoutMs + cluster.requestTimeoutMs
    const ask = async () => {
      const connection = await this.coordinator()
      const response = await connection.request(
        JoinGroup,
        {
          groupId,
          sessionTimeoutMs,
          rebalanceTimeoutMs: sessionTimeoutMs,
          memberId: this.memberId,
          groupInstanceId: null,
          protocolType: PROTOCOL_TYPE,
          protocols: [{ name: PROTOCOL_NAME, metadata }],
        },
        { timeoutMs },
      )
      this.memberId = response.memberId === '' ? this.memberId : response.memberId
      return response
    }
    let joined = await ask()
    if (errorName(joined.errorCode) === 'MEMBER_ID_REQUIRED') joined = await ask()
    check(joined.errorCode)
    const isLeader = joined.leader === joined.memberId
    const heardAtMs = this.clock.monotonicMs()
    const connection = await this.coordinator()
    const synced = await connection.request(
      SyncGroup,
      {
        groupId,
        generationId: joined.generationId,
        memberId: this.memberId,
        groupInstanceId: null,
        protocolType: PROTOCOL_TYPE,
        protocolName: PROTOCOL_NAME,
        assignments: isLeader ? this.elect(joined) : [],
      },
      { timeoutMs },
    )
    check(synced.errorCode)
    this.generationId = joined.generationId
    this.leaseUntilMs = heardAtMs + sessionTimeoutMs
    const { primary, identity: elected } = readAssignment(synced.assignment)
    this.step(elected, primary)
  }

  /** The leader's part: the primary stays as long as it is there; else the first by member id, as Confluent's registry does it. */
  private elect(joined: JoinGroupResponse): { memberId: string; assignment: Buffer }[] {
    const eligible = joined.members
      .map(({ memberId, metadata }) => ({ memberId, json: parse(metadata) }))
      .filter(({ json }) => json['master_eligibility'] === true)
      .sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
    const elected = eligible.find(({ memberId }) => memberId === this.primaryId) ?? eligible[0]
    const assignment = Buffer.from(
      JSON.stringify({
        version: 1,
        error: 0,
        ...(elected !== undefined && { master: elected.memberId, master_identity: elected.json }),
      }),
    )
    return joined.members.map(({ memberId }) => ({ memberId, assignment }))
  }

  private async heartbeat(): Promise<void> {
    const sentAtMs = this.clock.monotonicMs()
    const { groupId, sessionTimeoutMs } = this.options
    const connection = await this.coordinator()
    const { memberId, generationId } = this
    const response = await connection.request(
      Heartbeat,
      { groupId, generationId, memberId, groupInstanceId: null },
      { timeoutMs: sessionTimeoutMs },
    )
    check(response.errorCode)
    this.leaseUntilMs = sentAtMs + sessionTimeoutMs
  }

  private async pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.wake = resolve
    const timer = this.clock.timer(ms, resolve)
    await promise
    timer.cancel()
  }

  private coordinator() {
    return this.options.cluster.coordinator(CoordinatorType.GROUP, this.options.groupId, this.lane)
  }

  private step(identity: Identity | undefined, primaryId: string): void {
    if (primaryId !== this.primaryId && identity !== undefined) {
      const where = primaryId === this.memberId ? 'this registry' : `${identity.host}:${identity.port}`
      this.options.logger.info(`schema registry: ${where} writes`, { generation: this.generationId })
    }
    this.primaryId = primaryId
    this.primaryIdentity = identity
    for (const waiter of this.waiters.splice(0)) waiter()
  }
}

function check(code: number): void {
  if (code !== ErrorCode.NONE) throw new KafkaError(errorName(code))
}

function readAssignment(bytes: Buffer): { primary: string; identity: Identity | undefined } {
  const json = parse(bytes)
  const { master, master_identity: identity, error } = json
  if (typeof master !== 'string' || !isObject(identity) || (error !== undefined && error !== 0))
    return { primary: '', identity: undefined }
  const { host, port, scheme } = identity
  return { primary: master, identity: { host: String(host), port: Number(port), scheme: String(scheme ?? 'http') } }
}

function parse(bytes: Buffer): Record<string, unknown> {
  try {
    const json = JSON.parse(bytes.toString()) as unknown
    return isObject(json) ? json : {}
  } catch {
    return {}
  }
}
