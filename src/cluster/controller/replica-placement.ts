// Which brokers get the replicas of new partitions. Leaders go round the brokers; the other replicas follow at a distance that
// shifts with each round, so that the partitions of a lost leader do not all fall to the same broker.

import type { Random } from '../../host/random.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { BrokerRegistration } from '../metadata-image.ts'

/** @throws {KafkaError} INVALID_REPLICATION_FACTOR */
export function placeReplicas(
  brokers: readonly BrokerRegistration[],
  partitionCount: number,
  replicationFactor: number,
  random: Random,
): number[][] {
  if (replicationFactor > brokers.length) {
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor ${replicationFactor} needs as many brokers; the number of them that are available is ${brokers.length}`,
    )
  }
  const start = random.u32() % brokers.length
  const shift = brokers.length < 2 ? 0 : random.u32() % (brokers.length - 1)
  return Array.from({ length: partitionCount }, (_, index) => {
    const leader = (start + index) % brokers.length
    const round = Math.floor(index / brokers.length)
    return Array.from({ length: replicationFactor }, (_, replica) => {
      const distance = replica === 0 ? 0 : 1 + ((shift + round + replica - 1) % (brokers.length - 1))
      return brokers[(leader + distance) % brokers.length].id
    })
  })
}

/** @throws {KafkaError} INVALID_REPLICA_ASSIGNMENT */
export function checkAssignment(
  brokerIds: readonly number[],
  isRegistered: (id: number) => boolean,
  partition: number,
  replicationFactor: number | undefined,
): void {
  const refuse = (problem: string) => {
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `The assignment of partition ${partition} ${problem}`)
  }
  if (brokerIds.length === 0) refuse('names no brokers')
  if (new Set(brokerIds).size !== brokerIds.length) refuse('names a broker more than once')
  const unknown = brokerIds.find((id) => !isRegistered(id))
  if (unknown !== undefined) refuse(`names broker ${unknown}, which is not registered`)
  if (replicationFactor !== undefined && brokerIds.length !== replicationFactor) {
    refuse(`has ${brokerIds.length} replicas, other partitions have ${replicationFactor}`)
  }
}
