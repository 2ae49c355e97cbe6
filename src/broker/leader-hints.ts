// Who leads a partition that a client looks for in the wrong place, so that it goes there at once, without asking for metadata (KIP-951).

import type { Connection } from './network/connection.ts'
import type { Services } from './services.ts'

interface LeaderHint {
  readonly leaderId: number
  readonly leaderEpoch: number
}

interface NodeEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** Collected while one response is put together. */
export class LeaderHints {
  /** Where the leaders listen for this client: each once, those that can be reached by its listener. */
  readonly endpoints: NodeEndpoint[] = []
  private readonly services: Services
  private readonly connection: Connection

  constructor(services: Services, connection: Connection) {
    this.services = services
    this.connection = connection
  }

  /** By the newest metadata, which this broker may still be following. Undefined where that names nobody else. */
  of(topic: string, partition: number): LeaderHint | undefined {
    const { metadata, nodeId } = this.services
    const known = metadata.image().partition(topic, partition)
    if (known === undefined || known.leader < 0 || known.leader === nodeId) return undefined
    this.tell(known.leader)
    return { leaderId: known.leader, leaderEpoch: known.leaderEpoch }
  }

  private tell(leaderId: number): void {
    if (this.endpoints.some(({ nodeId }) => nodeId === leaderId)) return
    const leader = this.services.brokers(this.connection).find(({ nodeId }) => nodeId === leaderId)
    if (leader === undefined) return
    const { nodeId, host, port, rack } = leader
    this.endpoints.push({ nodeId, host, port, rack })
  }
}
