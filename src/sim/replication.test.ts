// What replicas must do when things go wrong in the worst order: the stories behind Kafka's improvement proposals, one by one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLogConfig, type LogConfig } from '../log/log-config.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { ReplicaCluster, type ReplicaClusterOptions } from './replica-cluster.ts'
import { contents, led, produce, settled, until } from './replica-fixture.ts'
import { Simulation } from './simulation.ts'

async function clusterOf(
  options: Partial<ReplicaClusterOptions> & { replicas?: readonly number[]; log?: Partial<LogConfig> } = {},
): Promise<ReplicaCluster> {
  const { replicas = [1, 2, 3], log, ...rest } = options
  const simulation = new Simulation(7)
  const config: LogConfig = { ...defaultLogConfig, flushPolicy: 'os', ...log }
  const cluster = new ReplicaCluster(simulation, { brokers: 3, config, ...rest })
  await simulation.settle(cluster.start())
  cluster.createTopic('t', [replicas])
  await led(cluster)
  return cluster
}

async function replicasAgree(cluster: ReplicaCluster): Promise<string[]> {
  await settled(cluster)
  const all: string[][] = []
  for (const broker of cluster.brokers.values()) {
    if (cluster.record().replicas.includes(broker.id)) all.push(await contents(cluster, broker.partition()!.log))
  }
  for (const one of all) assert.deepEqual(one, all[0])
  return all[0]
}

/** Gone, and the controller knows it. */
function dies(cluster: ReplicaCluster, id: number, how: 'kill' | 'power cut' = 'kill'): void {
  cluster.stop(id, how)
  cluster.fence(id)
}

const comesBack = (cluster: ReplicaCluster, id: number) => cluster.simulation.settle(cluster.startBroker(id))

for (const flushPolicy of ['os', 'group'] as const) {
  test(`under flush.policy=${flushPolicy} records reach all replicas, and are committed when they have`, async () => {
    const cluster = await clusterOf({ log: { flushPolicy } })
    const produced = produce(cluster.broker(1), 'a')
    assert.equal(produced.outcome, undefined)
    await until(cluster, 'the acknowledgement', () => produced.outcome === 'there')
    for (const broker of cluster.brokers.values()) assert.equal(broker.partition()!.log.endOffset, 1n)
    if (flushPolicy === 'group') {
      for (const broker of cluster.brokers.values()) assert.equal(broker.partition()!.log.flushedOffset, 1n)
    }
    // Followers hear of it without waiting for the next records.
    const atUs = cluster.simulation.nowUs
    await settled(cluster)
    assert.ok(cluster.simulation.nowUs - atUs < 50_000)
  })
}

test('a follower that was away catches up, and joins the ISR again', async () => {
  const cluster = await clusterOf()
  dies(cluster, 3)
  await until(cluster, 'the smaller ISR', () => cluster.broker(1).partition()!.leader!.isr.length === 2)
  const produced = Array.from({ length: 40 }, (_, i) => produce(cluster.broker(1), `value ${i} ${'x'.repeat(1000)}`))
  await until(cluster, 'the acknowledgements', () => produced.every(({ outcome }) => outcome === 'there'))
  await comesBack(cluster, 3)
  await until(cluster, 'the whole ISR', () => cluster.record().isr.length === 3)
  assert.equal((await replicasAgree(cluster)).length, 40)
})

test('a follower that hangs leaves the ISR, and acks=all goes on without it', async () => {
  const cluster = await clusterOf({ minIsr: 2 })
  cluster.network.isolate('broker-3', ['broker-1', 'broker-2'])
  const produced = produce(cluster.broker(1), 'a')
  await cluster.simulation.advance(500)
  assert.equal(produced.outcome, undefined)
  await until(cluster, 'the acknowledgement', () => produced.outcome === 'there')
  assert.deepEqual(cluster.record().isr, [1, 2])
  cluster.network.isolate('broker-2', ['broker-1'])
  const waits = produce(cluster.broker(1), 'b')
  await until(cluster, 'an ISR of one', () => cluster.broker(1).partition()!.leader!.isr.length === 1)
  // Too few have it: nobody is told that it is there, and nobody sees it.
  await cluster.simulation.advance(5000)
  assert.equal(waits.outcome, undefined)
  assert.equal(cluster.broker(1).partition()!.highWatermark, 1n)
  assert.throws(() => produce(cluster.broker(1), 'c'), { code: 'NOT_ENOUGH_REPLICAS' })
  assert.equal(produce(cluster.broker(1), 'd', {}, 1).offset, 2n)
  cluster.network.healAll()
  await until(cluster, 'the acknowledgement', () => waits.outcome === 'there')
  await until(cluster, 'the whole ISR', () => cluster.record().isr.length === 3)
})

test('a follower that restarts before it has heard of the high watermark loses nothing when it comes to lead (KIP-101)', async () => {
  const cluster = await clusterOf({ replicas: [1, 2] })
  const first = produce(cluster.broker(1), 'a')
  // Both have it, and the follower does not know that it is committed.
  cluster.holdIsrChange = () => new Promise(() => {})
  await until(cluster, 'the copy', () => cluster.broker(2).partition()!.log.writtenOffset === 1n)
  assert.equal(cluster.broker(2).partition()!.highWatermark, 0n)
  cluster.stop(2, 'kill')
  await until(cluster, 'anything', () => true)
  const record = cluster.record()
  cluster.stop(1, 'kill')
  await comesBack(cluster, 2)
  const { id } = cluster.image.topic('t')!
  cluster.put(id, 0, {
    ...record,
    leader: 2,
    isr: [2],
    leaderEpoch: record.leaderEpoch + 5,
    partitionEpoch: record.partitionEpoch + 50,
  })
  await led(cluster)
  assert.deepEqual(await contents(cluster, cluster.broker(2).partition()!.log), ['0:a'])
  await comesBack(cluster, 1)
  await until(cluster, 'the follower', () => cluster.broker(1).partition() !== undefined)
  assert.deepEqual(await replicasAgree(cluster), ['0:a'])
  assert.notEqual(first.outcome, 'NOT_LEADER_OR_FOLLOWER')
})

test('what a deposed leader wrote alone is cut off when it follows, whatever its high watermark was (KIP-101)', async () => {
  const cluster = await clusterOf()
  const committed = produce(cluster.broker(1), 'a')
  await until(cluster, 'the acknowledgement', () => committed.outcome === 'there')
  cluster.network.isolate('broker-1', ['broker-2', 'broker-3'])
  cluster.cutOffFromController(1)
  const lost = [produce(cluster.broker(1), 'b'), produce(cluster.broker(1), 'c')]
  cluster.fence(1)
  const leader = await led(cluster)
  assert.notEqual(leader.id, 1)
  const kept = produce(leader, 'd')
  await until(cluster, 'the acknowledgement', () => kept.outcome === 'there')
  // The one that is cut off goes on believing, and can confirm nothing.
  assert.deepEqual(
    lost.map(({ outcome }) => outcome),
    [undefined, undefined],
  )
  cluster.network.healAll()
  cluster.reconnect(1)
  await until(cluster, 'the follower', () => cluster.broker(1).partition()!.leader === undefined)
  assert.deepEqual(
    lost.map(({ outcome }) => outcome),
    ['NOT_LEADER_OR_FOLLOWER', 'NOT_LEADER_OR_FOLLOWER'],
  )
  assert.deepEqual(await replicasAgree(cluster), ['0:a', '1:d'])
})

test('logs that went apart over several epochs come together step by step (KIP-279)', async () => {
  const cluster = await clusterOf({ replicas: [1, 2] })
  const { id } = cluster.image.topic('t')!
  let epoch = 0
  /** Leads alone, and writes what the other does not get. */
  const alone = async (leader: number, ...values: string[]) => {
    epoch += 1
    const other = 3 - leader
    if (cluster.brokers.has(other)) cluster.stop(other, 'kill')
    if (!cluster.brokers.has(leader)) await comesBack(cluster, leader)
    const record = cluster.record()
    const leaderEpoch = record.leaderEpoch + 1
    cluster.put(id, 0, { ...record, leader, isr: [leader], leaderEpoch, partitionEpoch: record.partitionEpoch + 1, elr: [] })
    await led(cluster)
    for (const value of values) produce(cluster.broker(leader), value, {}, 1)
    await cluster.simulation.advance(100)
  }
  await alone(1, 'a', 'b')
  await alone(2, 'c', 'd', 'e')
  await alone(1, 'f')
  await alone(2, 'g')
  await alone(1, 'h', 'i')
  await comesBack(cluster, 2)
  await until(cluster, 'the follower', () => cluster.broker(2).partition() !== undefined)
  const values = (await replicasAgree(cluster)).map((text) => text.split(':')[1])
  assert.deepEqual(values, ['a', 'b', 'f', 'h', 'i'])
  assert.equal(epoch, 5)
})

test('elections in which nobody wrote anything leave a longer log of before where it belongs', async () => {
  const cluster = await clusterOf({ replicas: [1, 2] })
  await settled(cluster)
  cluster.network.isolate('broker-1', ['broker-2'])
  cluster.cutOffFromController(1)
  produce(cluster.broker(1), 'alone', {}, 1)
  cluster.fence(1)
  await led(cluster)
  const record = cluster.record()
  const { id } = cluster.image.topic('t')!
  // Once more, to the same leader.
  cluster.put(id, 0, { ...record, leaderEpoch: record.leaderEpoch + 1, partitionEpoch: record.partitionEpoch + 1 })
  await led(cluster)
  cluster.network.healAll()
  cluster.reconnect(1)
  assert.deepEqual(await replicasAgree(cluster), [])
  produce(cluster.broker(2), 'after', {}, 1)
  assert.deepEqual(await replicasAgree(cluster), ['2:after'])
})

test('who waits for acks=all hears of it when the leadership goes and comes back meanwhile', async () => {
  const cluster = await clusterOf()
  cluster.network.isolate('broker-1', ['broker-2', 'broker-3'])
  const waits = produce(cluster.broker(1), 'a')
  cluster.elect(2)
  cluster.elect(1)
  await until(cluster, 'the second leadership', () => cluster.broker(1).partition()!.leader?.leaderEpoch === 2)
  await until(cluster, 'the answer', () => waits.outcome !== undefined)
  assert.equal(waits.outcome, 'NOT_LEADER_OR_FOLLOWER')
  cluster.network.healAll()
  // What becomes of the record, the log says.
  assert.deepEqual(await replicasAgree(cluster), ['0:a'])
})

test('the high watermark does not move on an ISR that was only asked for', async () => {
  const cluster = await clusterOf()
  await settled(cluster)
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  cluster.holdIsrChange = () => held
  cluster.network.isolate('broker-3', ['broker-1', 'broker-2'])
  const waits = produce(cluster.broker(1), 'a')
  await until(cluster, 'the proposal', () => cluster.broker(1).partition()!.leader!.pending !== undefined)
  await cluster.simulation.advance(5000)
  assert.equal(waits.outcome, undefined)
  assert.equal(cluster.broker(1).partition()!.highWatermark, 0n)
  // Whoever was to leave is elected before the proposal arrives, which is then refused.
  cluster.elect(3)
  release()
  await until(cluster, 'the answer', () => waits.outcome !== undefined)
  assert.equal(waits.outcome, 'NOT_LEADER_OR_FOLLOWER')
  assert.deepEqual(cluster.record().isr, [1, 2, 3])
  cluster.network.healAll()
  assert.deepEqual(await replicasAgree(cluster), [])
})

test('a proposed member holds the high watermark back before it is in', async () => {
  const cluster = await clusterOf()
  dies(cluster, 3)
  await until(cluster, 'the smaller ISR', () => cluster.broker(1).partition()!.leader!.isr.length === 2)
  cluster.holdIsrChange = () => new Promise(() => {})
  await comesBack(cluster, 3)
  await until(cluster, 'the proposal', () => cluster.broker(1).partition()!.leader!.pending !== undefined)
  cluster.network.isolate('broker-3', ['broker-1', 'broker-2'])
  const waits = produce(cluster.broker(1), 'a')
  await cluster.simulation.advance(10_000)
  assert.equal(waits.outcome, undefined)
})

test('a replica that was taken away and given back in one change of metadata must fetch again before it may join', async () => {
  const cluster = await clusterOf()
  await settled(cluster)
  const before = cluster.image
  const { id } = before.topic('t')!
  // The follower's log is gone meanwhile; the leader hears of both changes at once.
  cluster.network.isolate('broker-3', ['broker-1', 'broker-2'])
  cluster.cutOffFromController(1)
  cluster.change({ replicas: [1, 2], isr: [1, 2] })
  const without = cluster.record()
  cluster.put(id, 0, { ...without, replicas: [1, 2, 3], partitionEpoch: without.partitionEpoch + 1 })
  const leader = cluster.broker(1)
  await leader.replicas.apply(cluster.image, cluster.image.since(before))
  const state = leader.partition()!.leader!
  assert.equal(state.leaderEpoch, 1)
  assert.equal(state.follower(3)?.endOffset, -1n)
  assert.equal(state.expansion(3, 0n), undefined)
})

test('a batch that is sent again after a failover gets the offset that it has', async () => {
  const cluster = await clusterOf()
  const idempotent = { producerId: 5n, producerEpoch: 0, baseSequence: 0 }
  produce(cluster.broker(1), 'first', {}, 1)
  const unanswered = produce(cluster.broker(1), 'mine', idempotent)
  await until(cluster, 'the copies', () => [2, 3].every((id) => cluster.broker(id).partition()!.log.writtenOffset === 2n))
  dies(cluster, 1)
  const leader = await led(cluster)
  const again = produce(leader, 'mine', idempotent)
  assert.equal(again.offset, unanswered.offset)
  await until(cluster, 'the acknowledgement', () => again.outcome === 'there')
  const next = produce(leader, 'next', { ...idempotent, baseSequence: 1 })
  assert.equal(next.offset, 2n)
})

test('a cut inside of a transaction takes it along: producers, aborted transactions, last stable offset', async () => {
  const cluster = await clusterOf()
  const transactional = { producerId: 5n, producerEpoch: 0, transactional: true }
  const begun = produce(cluster.broker(1), 'begun', { ...transactional, baseSequence: 0 })
  await until(cluster, 'the acknowledgement', () => begun.outcome === 'there')
  cluster.network.isolate('broker-1', ['broker-2', 'broker-3'])
  cluster.cutOffFromController(1)
  const alone = cluster.broker(1).partition()!
  produce(cluster.broker(1), 'alone', { ...transactional, baseSequence: 1 }, 1)
  const abort = { producerId: 5n, producerEpoch: 0, coordinatorEpoch: 0, result: 'abort' as const, timestamp: 1n }
  alone.append(endTransactionMarker(abort), { origin: 'coordinator' })
  cluster.fence(1)
  const leader = await led(cluster)
  const more = produce(leader, 'more', { ...transactional, baseSequence: 1 })
  cluster.network.healAll()
  cluster.reconnect(1)
  await settled(cluster)
  assert.equal(more.offset, 1n)
  for (const broker of cluster.brokers.values()) {
    const partition = broker.partition()!
    assert.equal(partition.log.producers.hasOngoingTransaction(5n, 0), true)
    assert.equal(partition.lastStableOffset, 0n)
    assert.deepEqual(await cluster.simulation.settle(Promise.resolve(partition.log.abortedTransactions(0n, 10n))), [])
  }
})

test('a topic that was deleted and made anew while a broker was down shares nothing with the one before', async () => {
  const cluster = await clusterOf()
  const old = produce(cluster.broker(1), 'old')
  await until(cluster, 'the acknowledgement', () => old.outcome === 'there')
  dies(cluster, 3)
  cluster.deleteTopic('t')
  cluster.createTopic('t', [[1, 2, 3]])
  await until(cluster, 'the new topic', () => cluster.broker(1).partition()?.topicId === cluster.image.topic('t')!.id)
  await comesBack(cluster, 3)
  await led(cluster)
  produce(cluster.broker(cluster.record().leader), 'new', {}, 1)
  await until(cluster, 'the whole ISR', () => cluster.record().isr.length === 3)
  assert.deepEqual(await replicasAgree(cluster), [`${cluster.record().leaderEpoch}:new`])
})

test('a follower that had less than its leader keeps begins anew where that begins', async () => {
  const cluster = await clusterOf({ replicas: [1, 2] })
  dies(cluster, 2)
  await until(cluster, 'an ISR of one', () => cluster.broker(1).partition()!.leader!.isr.length === 1)
  const leader = cluster.broker(1).partition()!
  for (const value of ['a', 'b', 'c']) produce(cluster.broker(1), value, {}, 1)
  await until(cluster, 'the high watermark', () => leader.highWatermark === 3n)
  await cluster.simulation.settle(leader.log.advanceLogStartOffset(2n))
  await comesBack(cluster, 2)
  await until(cluster, 'the whole ISR', () => cluster.record().isr.length === 2)
  const follower = cluster.broker(2).partition()!
  assert.deepEqual([follower.log.logStartOffset, follower.log.endOffset], [2n, 3n])
  await cluster.simulation.settle(leader.log.advanceLogStartOffset(3n))
  await until(cluster, 'the start', () => follower.log.logStartOffset === 3n)
})

test('a disk that fails takes its replica out, and the others go on', async () => {
  const failed: number[] = []
  const cluster = await clusterOf({
    onEvent: (id, { event }) => event === 'replica-failed' && failed.push(id),
    log: { flushPolicy: 'group' },
  })
  cluster.disk(2).faults = [{ under: '/data', kinds: ['sync'], code: 'EIO', probability: 1 }]
  const produced = produce(cluster.broker(1), 'a')
  await until(cluster, 'the acknowledgement', () => produced.outcome === 'there')
  assert.deepEqual(failed, [2])
  assert.deepEqual(cluster.record().isr, [1, 3])
})

test('a replica whose synced bytes are damaged is fetched anew; where nobody else has them, it is not served', async () => {
  for (const replicas of [[1, 2], [2]]) {
    const events: string[] = []
    const cluster = await clusterOf({ replicas, log: { flushPolicy: 'group' }, onEvent: (_id, { event }) => events.push(event) })
    const leader = await led(cluster)
    const produced = ['a', 'b', 'c'].map((value) => produce(leader, value))
    await until(cluster, 'the acknowledgements', () => produced.every(({ outcome }) => outcome === 'there'))
    const damaged = cluster.broker(2)
    await cluster.simulation.settle(damaged.logs.checkpoint())
    dies(cluster, 2)
    const path = '/data/t-0/00000000000000000000.log'
    // Where the second batch says how long it is.
    const size = cluster.disk(2).peek(path)!.length / 3
    for (let bit = 0; bit < 7; bit++) cluster.disk(2).flip(path, size + 8, bit)
    await comesBack(cluster, 2)
    if (replicas.length > 1) {
      await until(cluster, 'the whole ISR', () => cluster.record().isr.length === 2)
      assert.ok(events.includes('replica-fetched-anew'))
      assert.deepEqual(await replicasAgree(cluster), ['0:a', '0:b', '0:c'])
    } else {
      await cluster.simulation.advance(1000)
      assert.equal(cluster.broker(2).partition()!.failure?.code, 'KAFKA_STORAGE_ERROR')
      assert.equal(cluster.disk(2).peek(path)!.length, 3 * size)
    }
  }
})

test('who is told to lead in an epoch that its own log has seen refuses, and says so', async () => {
  const events: string[] = []
  const cluster = await clusterOf({ onEvent: (_id, { event }) => events.push(event) })
  cluster.elect(2)
  produce(await led(cluster), 'a', {}, 1)
  await settled(cluster)
  const { id } = cluster.image.topic('t')!
  const record = cluster.record()
  cluster.put(id, 0, { ...record, leader: 3, leaderEpoch: record.leaderEpoch - 1, partitionEpoch: record.partitionEpoch + 1 })
  await until(cluster, 'the refusal', () => events.includes('leadership-refused'))
  assert.equal(cluster.broker(3).partition()!.leader, undefined)
})

test('many partitions are followed over one connection, and what is idle costs next to nothing', async () => {
  const cluster = await clusterOf()
  cluster.createTopic(
    'many',
    Array.from({ length: 50 }, (_, i) => [1 + (i % 3), 1 + ((i + 1) % 3), 1 + ((i + 2) % 3)]),
  )
  await until(cluster, 'the leaders', () => cluster.broker(1).partition('many', 0)?.leader !== undefined)
  await cluster.simulation.advance(2000)
  for (let i = 0; i < 50; i++) {
    const leader = cluster.broker(1 + (i % 3)).partition('many', i)!
    assert.equal(leader.leader!.isr.length, 3)
  }
})
