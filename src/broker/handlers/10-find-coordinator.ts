import { GROUP_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC } from '../../cluster/internal-topics.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { FindCoordinator } from '../../protocol/messages/10-find-coordinator.ts'
import type { Connection } from '../network/connection.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

const GROUP = 0
const TRANSACTION = 1

interface Coordinator {
  readonly key: string
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Says which broker looks after a group or a transactional id. The first question creates the topic in which they are kept. */
export const findCoordinator = handler(FindCoordinator, {
  async handle(request, services, call) {
    const batched = call.version >= 4
    const keys = batched ? request.coordinatorKeys : [request.key]
    const coordinators = await Promise.all(keys.map((key) => find(key, request.keyType, services, call.connection)))
    return batched ? { coordinators } : coordinators[0]
  },

  fail: (request, error) => {
    const refused = (key: string) => noCoordinator(key, error)
    return { ...refused(request.key), coordinators: request.coordinatorKeys.map(refused) }
  },
})

async function find(key: string, keyType: number, services: Services, connection: Connection): Promise<Coordinator> {
  try {
    const leader = await leaderFor(key, keyType, services)
    const broker = services.brokers(connection).find(({ nodeId }) => nodeId === leader)
    if (broker === undefined) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'its coordinator is being elected')
    const { nodeId, host, port } = broker
    return { key, nodeId, host, port, errorCode: ErrorCode.NONE, errorMessage: null }
  } catch (error) {
    if (error instanceof KafkaError) return noCoordinator(key, error)
    throw error
  }
}

/** Whoever leads the partition in which the key is kept. */
async function leaderFor(key: string, keyType: number, { topics, image, groups, transactions }: Services) {
  if (keyType === TRANSACTION) {
    await topics.ensureTransactionState()
    return image().partition(TRANSACTION_STATE_TOPIC, transactions.partitionFor(key))?.leader
  }
  if (keyType !== GROUP) throw new KafkaError('INVALID_REQUEST', `there are no coordinators of type ${keyType} here`)
  await topics.ensureGroupOffsets()
  return image().partition(GROUP_OFFSETS_TOPIC, groups.partitionFor(key))?.leader
}

function noCoordinator(key: string, error: KafkaError): Coordinator {
  return { key, nodeId: -1, host: '', port: -1, errorCode: error.errorCode, errorMessage: error.message }
}
