// Produce: the way in. Batches are checked, stamped and queued by the log.

import { isInternalTopic } from '../../cluster/internal-topics.ts'
import type { Acks, Partition } from '../../cluster/replication/partition.ts'
import { supportOfProduce } from '../../coordinators/transaction/producer-support.ts'
import { decompressionAllowance } from '../../log/append-checks.ts'
import type { AppendOptions } from '../../log/log-types.ts'
import type { Verification } from '../../log/verifications.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { Produce, type ProduceRequest } from '../../protocol/messages/00-produce.ts'
import { BATCH_HEADER_SIZE, batchSize, codecId, isTransactional, MAGIC_V2, magic } from '../../protocol/records/batch-header.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { LeaderHints } from '../leader-hints.ts'
import type { Services } from '../services.ts'
import type { TransactionalBatch, Verdicts } from '../transaction-admission.ts'
import { type Call, handler, type Outcome } from './handler.ts'

type TopicResponse = ResponseInput<typeof Produce>['responses'][number]
type PartitionResponse = TopicResponse['partitionResponses'][number]

const ZSTD = 4
const NOTHING = Buffer.alloc(0)
/** The only client that may write to internal topics: Kafka's own admin tools. */
const ADMIN_CLIENT_ID = '__admin_client'

export const produce = handler(Produce, {
  // librdkafka before 2.11.1 compresses only if it sees version 0 announced (KAFKA-18659). Below 3 it is never asked for.
  announced: '0-13',

  handle(request, services, call) {
    if (request.acks !== 0 && request.acks !== 1 && request.acks !== -1) throw new KafkaError('INVALID_REQUIRED_ACKS')
    const hints = new LeaderHints(services, call.connection)
    const answer = new ProduceAnswer(request.acks, call.version, services.clock.monotonicMs() + request.timeoutMs, hints)
    const appends = appendsOf(request, services, call)
    const admitted = admit(request.transactionalId, appends, services, call.version)
    if (admitted === undefined) return answer.after(appends)
    // The request is on loan, and gone when this call returns.
    for (const append of appends) append.batch = Buffer.from(append.batch)
    return admitted.then((verdicts) => {
      for (const append of appends) {
        const verdict = append.partition && verdicts.get(append.partition)
        if (verdict instanceof KafkaError) append.error ??= verdict
        else append.verification = verdict
      }
      return answer.after(appends)
    })
  },

  fail: (request, error) =>
    request.acks === 0
      ? 'close'
      : {
          responses: request.topicData.map((topic) => ({
            name: topic.name,
            topicId: topic.topicId,
            partitionResponses: topic.partitionData.map(({ index }) => refusal(index, error)),
          })),
        },
})

/** What a request asks of one partition. */
interface Append {
  readonly topic: ProduceRequest['topicData'][number]
  /** '' where nobody knows its id. */
  name: string
  readonly index: number
  /** Undefined where `error` says why. */
  partition: Partition | undefined
  batch: Buffer
  error: KafkaError | undefined
  verification?: Verification | null | undefined
}

function appendsOf(request: ProduceRequest, services: Services, { clientId, version }: Call): Append[] {
  const appends: Append[] = []
  for (const topic of request.topicData) {
    for (const { index, records } of lastOfEach(topic.partitionData)) {
      const append: Append = { topic, name: '', index, partition: undefined, batch: NOTHING, error: undefined }
      appends.push(append)
      try {
        const name = version >= 13 ? nameOf(services, topic.topicId) : topic.name
        append.name = name
        if (isInternalTopic(name) && clientId !== ADMIN_CLIENT_ID) {
          throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${name} is internal`)
        }
        append.partition = services.replicas.leader(name, index)
        append.batch = onlyBatch(records, version)
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        append.error = error
      }
    }
  }
  return appends
}

/** Undefined where all may be appended at once; else the partitions that refuse, when the coordinator has been asked. */
function admit(
  transactionalId: string | null,
  appends: readonly Append[],
  services: Services,
  version: number,
): Promise<Verdicts> | undefined {
  const batches: TransactionalBatch[] = []
  for (const { partition, batch, error } of appends) {
    if (partition !== undefined && error === undefined && isTransactional(batch)) batches.push({ partition, batch })
  }
  if (batches.length === 0) return undefined
  if (transactionalId === null)
    throw new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'transactional records without a transactional id')
  return services.admission.admit(transactionalId, batches, supportOfProduce(version))
}

/** Appends, waits as long as `acks` asks, and puts the answer together. A partition that refuses does not stop the others. */
class ProduceAnswer {
  private readonly acks: Acks
  private readonly options: Omit<AppendOptions, 'leaderEpoch'>
  private readonly deadlineMs: number
  private readonly hints: LeaderHints
  private readonly responses: { name: string; topicId: string; partitionResponses: PartitionResponse[] }[] = []
  private readonly waits: Promise<void>[] = []
  private refused = false

  constructor(acks: Acks, version: number, deadlineMs: number, hints: LeaderHints) {
    this.acks = acks
    // Version 2 of transactions: with an epoch for each.
    const transactionVersion = supportOfProduce(version) === 'implicit' ? 2 : undefined
    this.options = { origin: 'client', transactionVersion, allowance: decompressionAllowance() }
    this.deadlineMs = deadlineMs
    this.hints = hints
  }

  after(appends: readonly Append[]): Outcome<typeof Produce> | Promise<Outcome<typeof Produce>> {
    let topic: Append['topic'] | undefined
    for (const append of appends) {
      if (append.topic !== topic) {
        topic = append.topic
        this.responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses: [] })
      }
      this.responses[this.responses.length - 1].partitionResponses.push(this.append(append))
    }
    // Without answers the only way to tell the client is to hang up: it will ask for metadata anew.
    if (this.acks === 0) return this.refused ? 'close' : null
    const { responses } = this
    const nodeEndpoints = this.hints.endpoints
    if (this.waits.length === 0) return { responses, nodeEndpoints }
    // Most requests of a busy broker are small, and about one partition.
    const settled: Promise<unknown> = this.waits.length === 1 ? this.waits[0] : Promise.all(this.waits)
    return settled.then(() => ({ responses, nodeEndpoints }))
  }

  private append({ name, partition, batch, index, error, verification }: Append): PartitionResponse {
    try {
      if (partition === undefined || error !== undefined) throw error
      const { firstOffset, lastOffset, logAppendTimeMs } = partition.append(
        batch,
        verification === undefined ? this.options : { ...this.options, verification },
        this.acks,
      )
      const { logStartOffset } = partition
      const response = { index, errorCode: ErrorCode.NONE as number, baseOffset: firstOffset, logAppendTimeMs, logStartOffset }
      const wait = partition.awaitAcks(this.acks, lastOffset + 1n, this.deadlineMs)
      if (wait !== undefined)
        this.waits.push(wait.catch((later: KafkaError) => void Object.assign(response, this.refusal(name, index, later))))
      return response
    } catch (refused) {
      if (!(refused instanceof KafkaError)) throw refused
      this.refused = true
      return this.refusal(name, index, refused)
    }
  }

  private refusal(topic: string, index: number, error: KafkaError): PartitionResponse {
    const currentLeader = error.code === 'NOT_LEADER_OR_FOLLOWER' ? this.hints.of(topic, index) : undefined
    return { ...refusal(index, error), currentLeader }
  }
}

function nameOf(services: Services, topicId: string): string {
  const topic = services.image().topicById(topicId as TopicId)
  if (topic === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID')
  return topic.name
}

/** From version 3 on a partition's records are exactly one batch of format v2. */
function onlyBatch(records: Buffer | null, version: number): Buffer {
  if (records === null || records.length === 0)
    throw new KafkaError('INVALID_RECORD', 'the request has no record batch for this partition')
  if (records.length >= BATCH_HEADER_SIZE && magic(records) !== MAGIC_V2) {
    throw new KafkaError(
      'INVALID_RECORD',
      `message format v${magic(records)} was given up in Kafka 4: send record batches of format v2`,
    )
  }
  if (records.length < BATCH_HEADER_SIZE) throw new KafkaError('CORRUPT_MESSAGE', 'shorter than the header of a record batch')
  if (batchSize(records) !== records.length)
    throw new KafkaError('INVALID_RECORD', 'a partition takes exactly one record batch per request')
  if (version < 7 && codecId(records) === ZSTD)
    throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', 'zstd needs Produce 7 or newer')
  return records
}

function refusal(index: number, error: KafkaError): PartitionResponse {
  return {
    index,
    errorCode: error.errorCode,
    baseOffset: -1n,
    logAppendTimeMs: -1n,
    logStartOffset: -1n,
    recordErrors: error.recordErrors,
    errorMessage: error.message === error.code ? null : error.message,
  }
}

/** Kafka does not refuse a partition that is named twice: the last one counts. */
function lastOfEach(partitions: ProduceRequest['topicData'][number]['partitionData']): typeof partitions {
  if (partitions.length < 2) return partitions
  const byIndex = new Map(partitions.map((partition) => [partition.index, partition]))
  return byIndex.size === partitions.length ? partitions : [...byIndex.values()]
}
