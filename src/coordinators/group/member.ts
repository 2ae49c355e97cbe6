// One member of a classic group. Who it is and what it was assigned is stored with the group; the rest lives in memory only.

import type { GroupMetadataValue } from '../../protocol/internal-records/group-records.ts'
import type { JoinGroupResponseInput } from '../../protocol/messages/11-join-group.ts'
import type { SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import type { Ticket } from '../runtime/outcome.ts'
import type { ClassicGroup } from './classic-group.ts'

/** An assignor that a member knows, with what the member tells it: for consumers, the topics it wants. */
export interface Protocol {
  readonly name: string
  readonly metadata: Buffer
}

export interface MemberIdentity {
  readonly memberId: string
  /** Set for static members (KIP-345), which keep their place through a restart. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
}

export interface SessionTimer {
  readonly kind: 'session'
  readonly group: ClassicGroup
  readonly memberId: string
}

export const NO_ASSIGNMENT: Buffer = Buffer.alloc(0)

export class Member {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimer: SessionTimer
  rebalanceTimeoutMs = 0
  sessionTimeoutMs = 0
  /** In the order of the member's preference. Changed through the group, which counts them. */
  protocols: readonly Protocol[] = []
  /** Of the last completed generation. */
  assignment: Buffer = NO_ASSIGNMENT
  /** Parked JoinGroup: the member waits for the others. Changed through the group, which counts them. */
  joinTicket: Ticket<JoinGroupResponseInput> | null = null
  /** Parked SyncGroup: the member waits for the leader. */
  syncTicket: Ticket<SyncGroupResponseInput> | null = null
  /** Has not been through a rebalance yet: cannot send heartbeats, because it does not know its id or its generation. */
  isNew = false

  constructor(group: ClassicGroup, identity: MemberIdentity) {
    this.memberId = identity.memberId
    this.groupInstanceId = identity.groupInstanceId
    this.clientId = identity.clientId
    this.clientHost = identity.clientHost
    this.sessionTimer = { kind: 'session', group, memberId: identity.memberId }
  }

  get isStatic(): boolean {
    return this.groupInstanceId !== null
  }

  /** A parked member needs no heartbeat: its connection waits for us. A new one is still given up after a while. */
  get hasSatisfiedHeartbeat(): boolean {
    return !this.isNew && (this.joinTicket !== null || this.syncTicket !== null)
  }

  /** What it told of itself to this assignor; undefined if it does not know it. */
  metadataFor(protocolName: string | null): Buffer | undefined {
    return this.protocols.find((protocol) => protocol.name === protocolName)?.metadata
  }

  /** Its favourite among the candidates. */
  vote(candidates: ReadonlySet<string>): string | undefined {
    return this.protocols.find((protocol) => candidates.has(protocol.name))?.name
  }

  /** Whether it would say the same again: same assignors, same order, same bytes. */
  matches(protocols: readonly Protocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every(({ name, metadata }, i) => name === this.protocols[i].name && metadata.equals(this.protocols[i].metadata))
    )
  }

  stored(protocolName: string | null, assignment: Buffer): GroupMetadataValue['members'][number] {
    return {
      memberId: this.memberId,
      groupInstanceId: this.groupInstanceId,
      clientId: this.clientId,
      clientHost: this.clientHost,
      rebalanceTimeout: this.rebalanceTimeoutMs,
      sessionTimeout: this.sessionTimeoutMs,
      subscription: this.metadataFor(protocolName) ?? NO_ASSIGNMENT,
      assignment,
    }
  }
}
