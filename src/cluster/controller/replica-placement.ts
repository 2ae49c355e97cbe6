// Which brokers get the replicas of new partitions. Leaders go round the brokers; the other replicas follow at a distance that
// shifts with each round, so that the partitions of a lost leader do not all fall to the same broker. No two replicas of a partition
// on one machine, nor in one rack if there are enough racks: what fails together holds one copy.

import type { Random } from '../../host/random.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { BrokerRegistration } from '../metadata-image.ts'

type Candidate = Pick<BrokerRegistration, 'id' | 'rack' | 'machine'>

/** @throws {KafkaError} INVALID_REPLICATION_FACTOR */
export function placeReplicas(
  brokers: readonly Candidate[],
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
  const machines = countMachines(brokers)
  if (replicationFactor > machines) {
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor ${replicationFactor} needs as many machines; the brokers that are available run on ${machines}`,
    )
  }
  const striped = stripe(brokers)
  const start = random.u32() % striped.length
  const shift = striped.length < 2 ? 0 : random.u32() % (striped.length - 1)
  return Array.from({ length: partitionCount }, (_, index) => {
    const leader = (start + index) % striped.length
    const round = Math.floor(index / striped.length)
    const others = Array.from({ length: striped.length - 1 }, (_, i) => 1 + ((shift + round + i) % (striped.length - 1)))
    const inOrder = [leader, ...others.map((distance) => (leader + distance) % striped.length)].map((i) => striped[i])
    return chooseApart(inOrder, replicationFactor).map(({ id }) => id)
  })
}

/** How many copies can be kept apart. */
export function countMachines(brokers: readonly Candidate[]): number {
  return new Set(brokers.map(machineOf)).size
}

/** A broker that names no machine is alone on its own. */
const machineOf = ({ id, machine }: Candidate) => machine ?? `broker ${id}`

/** Racks in turn, so that leaders, which go round, are spread over them. */
function stripe(brokers: readonly Candidate[]): Candidate[] {
  const racks = new Map<string, Candidate[]>()
  for (const broker of brokers) {
    const rack = broker.rack ?? ''
    const members = racks.get(rack)
    if (members === undefined) racks.set(rack, [broker])
    else members.push(broker)
  }
  const longest = Math.max(...[...racks.values()].map((members) => members.length))
  return Array.from({ length: longest }, (_, i) => [...racks.values()].flatMap((members) => members[i] ?? [])).flat()
}

/** The first in order, each time, of the racks that have the fewest replicas so far. */
function chooseApart(inOrder: readonly Candidate[], count: number): Candidate[] {
  const chosen: Candidate[] = []
  const machines = new Set<string>()
  const racks = new Map<string, number>()
  while (chosen.length < count) {
    let next: Candidate | undefined
    for (const candidate of inOrder) {
      if (machines.has(machineOf(candidate))) continue
      if (next === undefined || (racks.get(candidate.rack ?? '') ?? 0) < (racks.get(next.rack ?? '') ?? 0)) next = candidate
    }
    chosen.push(next!)
    machines.add(machineOf(next!))
    racks.set(next!.rack ?? '', (racks.get(next!.rack ?? '') ?? 0) + 1)
  }
  return chosen
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
