// A broker as one of many: its life in the cluster, its chance to be the controller, and the ways of what it has to tell or to ask the
// one that is.

import { ConnectionError, TimeoutError } from '../client/errors.ts'
import { type Clock, delay } from '../host/clock.ts'
import type { Random } from '../host/random.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import type { AlterPartitionRequest, AlterPartitionResponseInput } from '../protocol/messages/56-alter-partition.ts'
import type { BrokerHeartbeatRequest, BrokerHeartbeatResponseInput } from '../protocol/messages/63-broker-heartbeat.ts'
import type {
  AssignReplicasToDirsRequest,
  AssignReplicasToDirsResponseInput,
} from '../protocol/messages/73-assign-replicas-to-dirs.ts'
import { BrokerLifecycle } from './broker-lifecycle.ts'
import { alterPartition } from './controller/alter-partition.ts'
import { assignReplicasToDirs } from './controller/assign-replicas-to-dirs.ts'
import type { BrokerIndex } from './controller/broker-index.ts'
import type { Controller } from './controller/controller.ts'
import { ControllerRole } from './controller/controller-role.ts'
import type { DecisionContext } from './controller/decision.ts'
import type { ControllerLink } from './controller-link.ts'
import type { ImagePublisher } from './image-publisher.ts'
import { IsrProposals } from './isr-proposals.ts'
import type { MemberState } from './member-state.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { BrokerEndpoint } from './metadata-records.ts'
import type { IsrChanges } from './replication/isr-changes.ts'
import type { ReplicaPlace } from './replication/lost-replicas.ts'
import { type MetadataStore, OutcomeUnknown, type Revision, StoreError } from './store/metadata-store.ts'
import { UncleanElections } from './unclean-elections.ts'

/** Pause before a command is taken to a controller again. */
const RETRY_MS = 100
/** How long an answered command may wait until this broker's own image shows it. */
const SHOWN_WITHIN_MS = 1_000

export interface ClusterMemberOptions {
  readonly store: MetadataStore
  readonly publisher: ImagePublisher
  readonly prefix: string
  /** What is remembered between two lives. */
  readonly memory: MemberState
  readonly clock: Clock
  readonly random: Random
  readonly node: {
    readonly id: number
    readonly rack: string | null
    readonly machine: string | null
    readonly logDirs: readonly string[]
    readonly previousEpoch: number | null
  }
  readonly times: { readonly sessionMs: number; readonly heartbeatMs: number; readonly registrationMs: number }
  /** Listener that brokers use among themselves; undefined: the first that a broker names. */
  readonly listener: string | undefined
  readonly link: (endpoint: BrokerEndpoint, brokerId: number) => ControllerLink
  readonly context: (image: MetadataImage) => DecisionContext
  readonly report: (line: string) => void
}

/** A command, for the controller that is here, or for the one that is elsewhere. */
export interface Errand<R> {
  readonly here: (controller: Controller, index: BrokerIndex) => Promise<R>
  readonly elsewhere: (link: ControllerLink, timeoutMs: number) => Promise<R>
}

export class ClusterMember {
  private readonly options: ClusterMemberOptions
  private readonly role: ControllerRole
  private readonly lifecycle: BrokerLifecycle
  private readonly proposals: IsrProposals
  private readonly unclean: UncleanElections
  private link: { readonly key: string; readonly link: ControllerLink } | undefined
  private applied: () => Revision
  private closed = false

  constructor(options: ClusterMemberOptions) {
    const { store, publisher, prefix, memory, clock, random, node, times, context, report } = options
    this.options = options
    this.applied = () => publisher.image.revision
    this.role = new ControllerRole({ store, publisher, prefix, clock, random, brokerId: node.id, context, report })
    this.lifecycle = new BrokerLifecycle({
      store,
      publisher,
      prefix,
      clock,
      random,
      memory,
      node,
      times,
      applied: () => this.applied(),
      sendHeartbeat: (request) => this.sendHeartbeat(request),
      onCandidacy: (candidacy) => (candidacy === undefined ? this.role.withdraw() : this.role.stand(candidacy)),
      report,
    })
    this.unclean = new UncleanElections(publisher, () => this.isController, report)
    this.proposals = new IsrProposals({
      brokerId: node.id,
      brokerEpoch: () => this.lifecycle.brokerEpoch,
      publisher,
      send: (request) => this.sendIsrs(request),
    })
  }

  get brokerEpoch(): number {
    return this.lifecycle.brokerEpoch
  }

  get leaseInDoubt(): boolean {
    return this.lifecycle.leaseInDoubt
  }

  get isController(): boolean {
    return this.role.current !== undefined
  }

  get uncleanElections(): number {
    return this.unclean.count
  }

  get isrChanges(): IsrChanges {
    return this.proposals
  }

  /** Up to which revision this broker has done what the metadata asks. Default: what it has heard of. */
  setApplied(applied: () => Revision): void {
    this.applied = applied
  }

  /** Resolves when the image knows this process. @throws {KafkaError} DUPLICATE_BROKER_REGISTRATION, REQUEST_TIMED_OUT */
  register(endpoints: readonly BrokerEndpoint[]): Promise<void> {
    return this.lifecycle.register(endpoints)
  }

  /** Resolves when this broker may lead. @throws {KafkaError} REQUEST_TIMED_OUT */
  serve(): Promise<void> {
    return this.lifecycle.serve()
  }

  /** Hands over what this broker leads. False where that took too long. */
  stop(timeoutMs: number): Promise<boolean> {
    return this.lifecycle.stop(timeoutMs)
  }

  async close(): Promise<void> {
    this.closed = true
    await this.role.close()
    this.proposals.close()
    this.unclean.close()
    await this.lifecycle.close(true)
    this.link?.link.close()
  }

  /** For the controller's broker to answer others with. */
  async alterPartition(request: AlterPartitionRequest): Promise<AlterPartitionResponseInput> {
    const office = this.role.current
    if (office === undefined) return { errorCode: ErrorCode.NOT_CONTROLLER, topics: [] }
    const { context } = this.options
    return office.controller.submit((image) => alterPartition(image, request, context(image)))
  }

  /** For the controller's broker to answer others with. */
  async assignReplicasToDirs(request: AssignReplicasToDirsRequest): Promise<AssignReplicasToDirsResponseInput> {
    const office = this.role.current
    if (office === undefined) return { errorCode: ErrorCode.NOT_CONTROLLER, directories: [] }
    const { context } = this.options
    return office.controller.submit((image) => assignReplicasToDirs(image, request, context(image)))
  }

  /** Says where replicas of this broker are. @throws {KafkaError} NOT_CONTROLLER, STALE_BROKER_EPOCH: to be said again */
  async tellPlaces(places: readonly ReplicaPlace[]): Promise<void> {
    const request = placesRequest({ id: this.options.node.id, epoch: this.lifecycle.brokerEpoch }, places)
    const { errorCode } =
      this.role.current === undefined
        ? await this.linkOrRefuse().assignReplicasToDirs(request)
        : await this.assignReplicasToDirs(request)
    if (errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(errorCode))
  }

  /** For the controller's broker to answer others with. */
  async heartbeat(request: BrokerHeartbeatRequest): Promise<BrokerHeartbeatResponseInput> {
    return this.role.current?.duties.heartbeat(request) ?? { errorCode: ErrorCode.NOT_CONTROLLER, shouldShutDown: false }
  }

  /**
   * Takes a command to whoever is the controller, again while there is none.
   * @throws {KafkaError} what the command comes to; REQUEST_TIMED_OUT where nobody knows
   */
  async run<R>({ here, elsewhere }: Errand<R>, timeoutMs: number): Promise<R> {
    const { clock } = this.options
    const deadlineMs = clock.monotonicMs() + timeoutMs
    for (;;) {
      const leftMs = deadlineMs - clock.monotonicMs()
      let cause: unknown
      try {
        const office = this.role.current
        if (office !== undefined) return await here(office.controller, office.duties.index)
        const link = this.linkToController()
        if (link !== undefined) {
          const reply = await elsewhere(link, Math.max(1, leftMs))
          await this.untilShown()
          return reply
        }
      } catch (error) {
        if (!isWorthAnotherTry(error)) throw error
        cause = error
      }
      if (this.closed) throw new KafkaError('NOT_CONTROLLER', 'the broker is stopping')
      if (leftMs <= RETRY_MS || cause instanceof OutcomeUnknown)
        throw new KafkaError('REQUEST_TIMED_OUT', 'no controller has answered in time', { cause })
      await delay(clock, RETRY_MS)
    }
  }

  private async sendHeartbeat(request: BrokerHeartbeatRequest): Promise<BrokerHeartbeatResponseInput> {
    if (this.role.current !== undefined) return this.heartbeat(request)
    return this.linkOrRefuse().heartbeat(request)
  }

  private async sendIsrs(request: AlterPartitionRequest): Promise<AlterPartitionResponseInput> {
    if (this.role.current !== undefined) return this.alterPartition(request)
    return this.linkOrRefuse().alterPartition(request)
  }

  private linkOrRefuse(): ControllerLink {
    const link = this.linkToController()
    if (link === undefined) throw new KafkaError('NOT_CONTROLLER', 'there is no controller for now')
    return link
  }

  /** Undefined while there is none, or none that is known by an address. */
  private linkToController(): ControllerLink | undefined {
    const { publisher, node, link: open, listener } = this.options
    const { controller } = publisher.image
    if (controller === null || controller.brokerId === node.id) return undefined
    const id = controller.brokerId
    const endpoints = publisher.image.alive(id)?.endpoints ?? publisher.image.broker(id)?.endpoints ?? []
    const endpoint = endpoints.find(({ name }) => name === listener) ?? endpoints[0]
    if (endpoint === undefined) return undefined
    const key = `${id}:${controller.brokerEpoch} ${endpoint.host}:${endpoint.port}`
    if (this.link?.key !== key) {
      this.link?.link.close()
      this.link = { key, link: open(endpoint, id) }
    }
    return this.link.link
  }

  /** What the controller has answered, whoever asked here must find here. */
  private async untilShown(): Promise<void> {
    const { store, publisher, clock } = this.options
    await new Promise<void>((resolve) => {
      const timer = clock.timer(SHOWN_WITHIN_MS, resolve)
      store
        .identity()
        .then(({ revision }) => publisher.reached(revision))
        .catch(() => {})
        .then(() => {
          timer.cancel()
          resolve()
        })
    })
  }
}

function placesRequest(broker: { id: number; epoch: number }, places: readonly ReplicaPlace[]): AssignReplicasToDirsRequest {
  const directories = Map.groupBy(places, ({ directory }) => directory)
  return {
    brokerId: broker.id,
    brokerEpoch: BigInt(broker.epoch),
    directories: [...directories].map(([id, there]) => ({
      id,
      topics: [...Map.groupBy(there, ({ topicId }) => topicId)].map(([topicId, partitions]) => ({
        topicId,
        partitions: partitions.map(({ index }) => ({ partitionIndex: index })),
      })),
    })),
  }
}

/** Nothing came of it, or what came of it is to be asked of another controller. */
function isWorthAnotherTry(error: unknown): boolean {
  if (error instanceof KafkaError) return error.code === 'NOT_CONTROLLER'
  if (error instanceof StoreError) return error.reason === 'unavailable'
  return error instanceof ConnectionError || error instanceof TimeoutError || error instanceof OutcomeUnknown
}
