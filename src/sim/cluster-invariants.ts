// What must hold in a cluster at every moment, by looking into all brokers and the store at once, as nobody in the cluster can.
//
// Invariants: (1) one broker leads in a leader epoch; (2) partitions in the store are legal; (3) a leader counts at least who is in its ISR;
// (4) whoever is in the ISR or ELR, and runs, has all that any leader ever took for committed; (6) a leader's high watermark never falls in
// its epoch, and nobody cuts what was committed; (7) once a controller of a newer epoch has committed, none of an older one does;
// (8) what a broker knows of the metadata is what the store said at that revision.

import type { MetadataDelta, MetadataImage } from '../cluster/metadata-image.ts'
import { keys, NO_LEADER, type PartitionRecord } from '../cluster/metadata-records.ts'
import type { Partition } from '../cluster/replication/partition.ts'
import type { ReplicationEvent } from '../cluster/replication/replication-event.ts'
import type { Op } from '../cluster/store/metadata-store.ts'
import type { AppendResult } from '../log/partition-log.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { ClusterWorld } from './cluster-world.ts'

/** A partition as nobody but the simulator knows it. */
interface Ghost {
  readonly key: string
  readonly topic: string
  /** By leader epoch: the process that leads in it. */
  readonly leaders: Map<number, string>
  /** The highest high watermark of any leader. */
  committed: bigint
  /** Leaders of older epochs do not count any more: an unclean election has taken place since. */
  sinceEpoch: number
  /** Somebody who may lack what was acknowledged was elected. */
  tainted: boolean
}

/** Of a replica, when it was looked at last. */
interface Glance {
  leaderEpoch: number
  highWatermark: bigint
  partitionEpoch: number
  leads: boolean
}

/** How many of the latest images are remembered, to hold those of brokers against. */
const IMAGES = 3000

export class ClusterInvariants {
  private readonly world: ClusterWorld
  private readonly ghosts = new Map<string, Ghost>()
  private readonly glances = new WeakMap<Partition, Glance>()
  private readonly images = new Map<number, MetadataImage>()
  private controllerEpoch = 0
  private controllerCommits = -1

  constructor(world: ClusterWorld) {
    this.world = world
    world.onCommit = (revision, ops) => this.committed(revision, ops)
    world.onReplication = (broker, event) => this.replicated(broker, event)
    world.onFollowed = () => {
      this.published(world.image!, world.image!.since(world.image!))
      world.publisher!.onChange((image, delta) => this.published(image, delta))
    }
  }

  /** Of a topic as it is now: what was acknowledged in it may be gone. */
  isTainted(topic: string, index: number): boolean {
    const id = this.world.image?.topic(topic)?.id
    return id !== undefined && this.ghosts.get(`${id}/${index}`)?.tainted === true
  }

  get taintedCount(): number {
    return [...this.ghosts.values()].filter(({ tainted }) => tainted).length
  }

  // ── after every event ─────────────────────────────────────────────────────────────────────────────────────────────

  check(): void {
    const { image } = this.world
    if (image === undefined) return
    for (const node of this.world.nodes.values()) {
      const { view } = node
      if (view === undefined) continue
      for (const partition of view.partitions()) this.glanceAt(node, partition)
    }
    this.world.rethrow()
  }

  private glanceAt(node: ClusterNode, partition: Partition): void {
    let glance = this.glances.get(partition)
    const leader = partition.leader
    const partitionEpoch = leader?.partitionEpoch ?? -1
    if (glance === undefined) {
      glance = { leaderEpoch: -1, highWatermark: -1n, partitionEpoch: -1, leads: false }
      this.glances.set(partition, glance)
      this.listenIn(partition)
    } else if (
      glance.leads === (leader !== undefined) &&
      glance.highWatermark === partition.highWatermark &&
      glance.leaderEpoch === partition.leaderEpoch &&
      glance.partitionEpoch === partitionEpoch
    )
      return
    if (leader !== undefined) {
      if (glance.leads && glance.leaderEpoch === leader.leaderEpoch && partition.highWatermark < glance.highWatermark) {
        const fall = `${glance.highWatermark} to ${partition.highWatermark}`
        this.world.fail('high watermarks rise', `${nameOf(partition)} at broker ${node.id}, which leads: ${fall}`)
      }
      this.lookAtLeader(node, partition, this.ghostOf(partition))
    }
    glance.leaderEpoch = partition.leaderEpoch
    glance.highWatermark = partition.highWatermark
    glance.partitionEpoch = partitionEpoch
    glance.leads = leader !== undefined
  }

  private lookAtLeader(node: ClusterNode, partition: Partition, ghost: Ghost): void {
    const { leaderEpoch } = partition.leader!
    const process = `${node.id}#${node.lifeNumber}`
    const known = ghost.leaders.get(leaderEpoch)
    if (known === undefined) {
      ghost.leaders.set(leaderEpoch, process)
      this.world.note(`${process} leads ${nameOf(partition)} in ${leaderEpoch} from ${partition.log.endOffset}`)
      this.world.tally.count(partition.topic.startsWith('__') ? 'coordinators appointed' : 'leaders')
    } else if (known !== process) {
      this.world.fail('one leads in an epoch', `${nameOf(partition)} in ${leaderEpoch}: brokers ${known} and ${process}`)
    }
    if (leaderEpoch < ghost.sinceEpoch || partition.highWatermark <= ghost.committed) return
    ghost.committed = partition.highWatermark
    this.checkHolders(ghost)
  }

  /** (4), for one partition: called when more is committed, or others hold it. */
  private checkHolders(ghost: Ghost): void {
    const { image, nodes } = this.world
    const [topicId, index] = ghost.key.split('/')
    const record = image?.topicById(topicId as never)?.partitions[Number(index)]
    if (image === undefined || record === undefined) return
    for (const id of [...record.isr, ...record.elr]) {
      const view = nodes.get(id)?.view
      if (view === undefined || view.brokerEpoch() !== image.broker(id)?.epoch) continue
      const replica = find(view.partitions(), topicId, Number(index))
      if (replica === undefined || replica.failure !== undefined || replica.log.endOffset >= ghost.committed) continue
      const where = record.isr.includes(id) ? 'ISR' : 'ELR'
      const sentence = `broker ${id} is in the ${where} of ${ghost.topic}-${index}, and ends at ${replica.log.endOffset}; ${ghost.committed} was committed`
      this.world.fail('who is in sync has what is committed', sentence)
    }
  }

  /** All of (3) and (4), which need not change with an event that shows: called now and then. */
  checkAll(): void {
    const { image, nodes } = this.world
    if (image === undefined) return
    for (const ghost of this.ghosts.values()) this.checkHolders(ghost)
    for (const node of nodes.values()) {
      const { view } = node
      if (view === undefined) continue
      this.checkImage(node.id, view.image())
      for (const partition of view.partitions()) {
        const record = image.topicById(partition.topicId)?.partitions[partition.index]
        const { leader } = partition
        if (record === undefined || leader === undefined || leader.leaderEpoch !== record.leaderEpoch) continue
        const missing = record.isr.find((id) => !leader.isInMaximalIsr(id))
        if (missing !== undefined)
          this.world.fail('a leader counts its ISR', `broker ${node.id} leads ${nameOf(partition)} and does not count ${missing}`)
      }
    }
    this.world.rethrow()
  }

  private checkImage(broker: number, image: MetadataImage): void {
    const truth = this.images.get(image.revision)
    if (truth === undefined) return
    const delta = image.since(truth)
    const problems = [
      ...delta.createdTopics.map(({ name }) => `topic ${name} that there is not`),
      ...delta.deletedTopics.map(({ name }) => `no topic ${name}`),
      ...delta.changedPartitions.map(({ topic, index }) => `another ${topic.name}-${index}`),
      ...delta.changedBrokers.map((id) => `another broker ${id}`),
      ...delta.changedConfigs.map(({ type, name }) => `another configuration of ${type} ${name}`),
    ]
    if (problems.length > 0)
      this.world.fail('images show the store', `at revision ${image.revision} broker ${broker} knows ${problems.join(', ')}`)
  }

  /** Counts what becomes of writes, which clients do not hear of where they try again. */
  private listenIn(partition: Partition): void {
    const { tally } = this.world
    const append = partition.append.bind(partition)
    partition.append = (...args): AppendResult => {
      try {
        const result = append(...args)
        if (result.duplicate) tally.count('duplicates recognised')
        return result
      } catch (error) {
        if (error instanceof KafkaError) tally.count(`appends refused: ${error.code}`)
        throw error
      }
    }
  }

  // ── the store ─────────────────────────────────────────────────────────────────────────────────────────────────────

  private committed(revision: number, ops: readonly Op[]): void {
    let sequence: string | undefined
    let state = false
    for (const op of ops) {
      const key = 'put' in op ? op.put : 'delete' in op ? op.delete : op.deletePrefix
      const name = key.slice(key.indexOf('/', 1 + key.indexOf('/', 1)) + 1)
      if ('put' in op && name === keys.controllerSequence) sequence = Buffer.from(op.value).toString()
      if (/^(?:p|topics|names|brokers|cfg)\//.test(name)) state = true
    }
    if (sequence !== undefined) {
      const [epoch, commits] = sequence.split(':').map(Number)
      const follows =
        epoch > this.controllerEpoch ? commits === 0 : epoch === this.controllerEpoch && commits === this.controllerCommits + 1
      if (!follows) {
        const sentence = `commit ${sequence} follows ${this.controllerEpoch}:${this.controllerCommits}, at revision ${revision}`
        this.world.fail('one controller commits', sentence)
      }
      this.controllerEpoch = epoch
      this.controllerCommits = commits
    } else if (state)
      this.world.fail('only a controller commits', `revision ${revision} changes state without the controller's sequence`)
  }

  private published(image: MetadataImage, delta: MetadataDelta): void {
    this.images.set(image.revision, image)
    if (this.images.size > IMAGES) this.images.delete(this.images.keys().next().value!)
    for (const topic of delta.createdTopics) {
      for (const [index, after] of topic.partitions.entries()) this.changed(topic.id, topic.name, index, undefined, after)
    }
    for (const { topic, index, before, after } of delta.changedPartitions)
      this.changed(topic.id, topic.name, index, before, after)
    if (delta.changedBrokers.length > 0) for (const ghost of this.ghosts.values()) this.checkHolders(ghost)
  }

  private changed(id: string, topic: string, index: number, before: PartitionRecord | undefined, after: PartitionRecord): void {
    const { tally } = this.world
    const problem = problemWith(before, after, this.minIsr(topic, after))
    if (problem !== undefined) {
      const change = `${JSON.stringify(before)} becomes ${JSON.stringify(after)}`
      this.world.fail('partitions are legal', `${topic}-${index}: ${problem}: ${change}`)
    }
    const ghost = this.ghost(`${id}/${index}`, topic)
    if (before === undefined) return
    if (after.leader !== before.leader) tally.count(after.leader === NO_LEADER ? 'partitions without a leader' : 'elections')
    if (after.isr.length < before.isr.length) tally.count('ISRs shrunk')
    if (after.isr.length > before.isr.length) tally.count('ISRs grown')
    if (after.elr.length > 0) tally.count('ELRs in use')
    if (after.replicas.join() !== before.replicas.join())
      tally.count(after.adding.length > 0 ? 'reassignments begun' : 'reassignments completed')
    const heirs = [...before.isr, ...before.elr]
    const unclean = after.leader !== NO_LEADER && after.leader !== before.leader && !heirs.includes(after.leader)
    if (unclean || (after.recovering && !before.recovering)) {
      tally.count('unclean elections')
      if (!ghost.tainted)
        this.world.note(`${topic}-${index} may have lost records: ${JSON.stringify(before)} ${JSON.stringify(after)}`)
      ghost.tainted = true
      ghost.sinceEpoch = after.leaderEpoch
      ghost.committed = 0n
    }
    this.checkHolders(ghost)
  }

  /** Of a change of configuration nobody knows when it comes into force. Then the least holds. */
  private minIsr(topic: string, { replicas }: PartitionRecord): number | undefined {
    const plan = this.world.scenario.topics.find(({ name }) => name === topic)
    const changes = this.world.scenario.faults.some((fault) => fault.kind === 'configure' && fault.topic === topic)
    return plan === undefined || changes ? undefined : Math.min(plan.minIsr, replicas.length)
  }

  // ── what brokers tell ─────────────────────────────────────────────────────────────────────────────────────────────

  private replicated(broker: number, event: ReplicationEvent): void {
    const { tally } = this.world
    tally.count(`replicas: ${event.event}`)
    if (event.event === 'leadership-refused') {
      const sentence = `broker ${broker} is told to lead ${event.topic}-${event.partition} in ${event.leaderEpoch}, and has ${event.latestEpoch}`
      this.world.fail('leader epochs are new', sentence)
    }
    if (event.event !== 'committed-records-lost') return
    if (this.isTainted(event.topic, event.partition) || this.world.image?.topic(event.topic) === undefined) return
    const ghost = this.ghosts.get(`${this.world.image.topic(event.topic)!.id}/${event.partition}`)
    const sentence = `broker ${broker} cuts ${event.topic}-${event.partition} from ${event.from} to ${event.to}; ${ghost?.committed} was committed`
    this.world.fail('nobody cuts what is committed', sentence)
  }

  private ghostOf(partition: Partition): Ghost {
    return this.ghost(`${partition.topicId}/${partition.index}`, partition.topic)
  }

  private ghost(key: string, topic: string): Ghost {
    let ghost = this.ghosts.get(key)
    if (ghost === undefined) {
      ghost = { key, topic, leaders: new Map(), committed: 0n, sinceEpoch: -1, tainted: false }
      this.ghosts.set(key, ghost)
    }
    return ghost
  }
}

function problemWith(
  before: PartitionRecord | undefined,
  after: PartitionRecord,
  minIsr: number | undefined,
): string | undefined {
  const { replicas, isr, elr, leader } = after
  if (new Set(isr).size !== isr.length || isr.some((id) => !replicas.includes(id))) return 'the ISR is not of the replicas'
  if (leader !== NO_LEADER && !isr.includes(leader)) return 'the leader is not in the ISR'
  if (elr.some((id) => isr.includes(id) || !replicas.includes(id))) return 'the ELR is not of the other replicas'
  if (minIsr !== undefined && isr.length >= minIsr && elr.length > 0) return 'there is an ELR though the ISR is large enough'
  if (before === undefined) return undefined
  if (after.leaderEpoch < before.leaderEpoch || after.partitionEpoch <= before.partitionEpoch) return 'an epoch falls'
  if (after.leader !== before.leader && after.leaderEpoch === before.leaderEpoch) return 'another leader in the same epoch'
  return undefined
}

function find(partitions: Iterable<Partition>, topicId: string, index: number): Partition | undefined {
  for (const partition of partitions) if (partition.topicId === topicId && partition.index === index) return partition
  return undefined
}

function nameOf({ topic, index }: Partition): string {
  return `${topic}-${index}`
}
