import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { realClock } from '../host/clock.ts'
import { seededRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { startBroker, type TestBroker } from '../testing/start-broker.ts'
import { orThrow } from './admin/results.ts'
import { Admin } from './admin.ts'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky.ts'
import { roundRobinAssignor } from './assignors/round-robin.ts'
import { ClusterClient } from './cluster-client.ts'
import { GroupConsumer, type GroupConsumerOptions, type RebalanceListener } from './group-consumer.ts'
import type { TopicPartition } from './metadata.ts'
import { Producer } from './producer.ts'

let broker: TestBroker
let cluster: ClusterClient
let admin: Admin

before(async () => {
  broker = await startBroker({ config: { 'group.min.session.timeout.ms': '100' } })
  cluster = new ClusterClient({
    bootstrapServers: broker.bootstrapServers,
    network: realNetwork,
    clock: realClock,
    random: seededRandom(1),
  })
  admin = new Admin(cluster)
})

after(async () => {
  await cluster.close()
  await broker.close()
})

async function topic(name: string, partitions: number, values: readonly string[] = []): Promise<void> {
  orThrow(await admin.topics.create([{ name, partitions }]))
  const producer = new Producer(cluster, { lingerMs: 0 })
  await Promise.all(values.map((value, index) => producer.send({ topic: name, value, partition: index % partitions })))
  await producer.close()
}

/** A member that polls by itself, and keeps what it gets. */
class Member {
  readonly consumer: GroupConsumer
  readonly values: string[] = []
  readonly events: string[] = []
  private stopped = false
  private readonly polling: Promise<void>

  constructor(topics: readonly string[] | RegExp, options: GroupConsumerOptions) {
    this.consumer = new GroupConsumer(cluster, {
      heartbeatIntervalMs: 50,
      fetchMaxWaitMs: 50,
      autoOffsetReset: 'earliest',
      ...options,
    })
    const note = (what: string) => (partitions: readonly TopicPartition[]) => {
      this.events.push(
        `${what} ${partitions
          .map(({ topic, partition }) => `${topic}-${partition}`)
          .sort()
          .join()}`,
      )
    }
    const listener: RebalanceListener = {
      onPartitionsAssigned: note('assigned'),
      onPartitionsRevoked: note('revoked'),
      onPartitionsLost: note('lost'),
    }
    this.consumer.subscribe(topics, listener)
    this.polling = this.poll()
  }

  private async poll(): Promise<void> {
    while (!this.stopped) {
      for (const record of await this.consumer.poll(100)) this.values.push(record.value!.toString())
    }
  }

  get owned(): string[] {
    return this.consumer
      .assignment()
      .map(({ topic, partition }) => `${topic}-${partition}`)
      .sort()
  }

  async close(): Promise<void> {
    this.stopped = true
    await this.polling
    await this.consumer.close()
  }

  /** Stops polling and everything else, without a word to anyone. */
  async vanish(): Promise<void> {
    this.stopped = true
    await this.polling
  }
}

async function eventually(check: () => void): Promise<void> {
  const deadline = performance.now() + 10_000
  for (;;) {
    try {
      check()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

test('a member reads what the group has not read yet, and its successor goes on from there', async () => {
  await topic('orders', 2, ['a', 'b', 'c', 'd'])
  const first = new Member(['orders'], { groupId: 'resume' })
  await eventually(() => assert.deepEqual([...first.values].sort(), ['a', 'b', 'c', 'd']))
  await first.close()
  const producer = new Producer(cluster)
  await producer.send({ topic: 'orders', value: 'e' })
  const second = new Member(['orders'], { groupId: 'resume' })
  await eventually(() => assert.deepEqual(second.values, ['e']))
  await second.close()
  const offsets = [...(await admin.groups.offsets('resume')).values()].map(({ offset }) => offset)
  assert.equal(
    offsets.reduce((sum, offset) => sum + offset, 0n),
    5n,
  )
})

test('members share the partitions, and the one who stays takes over', async () => {
  await topic('shared', 4)
  const first = new Member(['shared'], { groupId: 'sharing' })
  await eventually(() => assert.equal(first.owned.length, 4))
  const second = new Member(['shared'], { groupId: 'sharing' })
  await eventually(() => assert.deepEqual([first.owned.length, second.owned.length], [2, 2]))
  assert.deepEqual([...first.owned, ...second.owned].sort(), ['shared-0', 'shared-1', 'shared-2', 'shared-3'])
  assert.equal(first.events[1], 'revoked shared-0,shared-1,shared-2,shared-3', 'an eager member gives up all it has')
  await second.close()
  await eventually(() => assert.equal(first.owned.length, 4))
  await first.close()
  assert.equal(first.events.at(-1), 'revoked shared-0,shared-1,shared-2,shared-3')
})

test('cooperative members keep what nobody else gets', async () => {
  await topic('kept', 4)
  const options = { groupId: 'cooperating', assignors: [cooperativeStickyAssignor] }
  const first = new Member(['kept'], options)
  await eventually(() => assert.equal(first.owned.length, 4))
  const second = new Member(['kept'], options)
  await eventually(() => assert.deepEqual([first.owned.length, second.owned.length], [2, 2]))
  const revoked = first.events.filter((event) => event.startsWith('revoked'))
  assert.equal(revoked.length, 1)
  assert.equal(revoked[0].split(',').length, 2, 'two of four, once')
  await Promise.all([first.close(), second.close()])
})

test('the group uses the assignor that its members agree on', async () => {
  await topic('agreed', 2)
  const member = new Member(['agreed'], { groupId: 'agreeing', assignors: [roundRobinAssignor] })
  await eventually(() => assert.equal(member.owned.length, 2))
  const group = orThrow(await admin.groups.describe(['agreeing'])).get('agreeing')!
  assert.equal(group.assignor, 'roundrobin')
  assert.equal(group.state, 'Stable')
  assert.equal(group.members[0].assignment.length, 2)
  await member.close()
})

test('an expression subscribes to the topics whose whole name matches', async () => {
  await topic('region.eu', 1, ['eu'])
  await topic('region.us', 1, ['us'])
  await topic('other.region.us', 1, ['other'])
  const member = new Member(/region\.(eu|us)/, { groupId: 'regions' })
  await eventually(() => assert.deepEqual([...member.values].sort(), ['eu', 'us']))
  assert.deepEqual(member.owned, ['region.eu-0', 'region.us-0'])
  await member.close()
})

test('a static member that comes back has its partitions without a rebalance', async () => {
  await topic('static', 2)
  const first = new Member(['static'], { groupId: 'statics', groupInstanceId: 'one' })
  await eventually(() => assert.equal(first.owned.length, 2))
  const { generationId } = first.consumer.member
  await first.close()
  const again = new Member(['static'], { groupId: 'statics', groupInstanceId: 'one' })
  await eventually(() => assert.equal(again.owned.length, 2))
  assert.equal(again.consumer.member.generationId, generationId)
  await again.close()
})

test('a member that does not poll leaves, and finds its partitions lost', async () => {
  await topic('slow', 1)
  const member = new Member(['slow'], { groupId: 'slow', maxPollIntervalMs: 500, heartbeatIntervalMs: 20 })
  await eventually(() => assert.equal(member.owned.length, 1))
  // Asked before it stops: on a busy machine it may have left by the time that it has.
  const { memberId } = member.consumer.member
  await member.vanish()
  await eventually(() => assert.notEqual(member.consumer.member.memberId, memberId))
  while (member.events.length < 3) await member.consumer.poll(50)
  assert.deepEqual(member.events, ['assigned slow-0', 'lost slow-0', 'assigned slow-0'])
  await member.consumer.close()
})

test('positions are the application’s where auto-commit is off', async () => {
  await topic('manual', 1, ['a', 'b', 'c'])
  const partition = { topic: 'manual', partition: 0 }
  const consumer = new GroupConsumer(cluster, { groupId: 'manual', enableAutoCommit: false, autoOffsetReset: 'earliest' })
  consumer.subscribe(['manual'])
  let count = 0
  while (count < 3) count += (await consumer.poll(100)).length
  assert.equal(consumer.position(partition), 3n)
  await consumer.commit([{ ...partition, offset: 2n, metadata: 'mine' }])
  await consumer.close()
  assert.deepEqual(
    [...(await admin.groups.offsets('manual')).values()],
    [{ ...partition, offset: 2n, leaderEpoch: -1, metadata: 'mine' }],
  )
})

test('administrators see groups, move positions of idle ones, and delete them', async () => {
  await topic('administered', 2, ['a', 'b'])
  const member = new Member(['administered'], { groupId: 'administered' })
  await eventually(() => assert.equal(member.values.length, 2))
  const offsets = [0, 1].map((partition) => ({ topic: 'administered', partition, offset: 0n }))
  await assert.rejects(
    admin.groups.alterOffsets('administered', offsets),
    (error) => error instanceof KafkaError && error.code === 'UNKNOWN_MEMBER_ID',
  )
  assert.equal((await admin.groups.delete(['administered'])).get('administered') instanceof KafkaError, true)
  await member.close()
  await admin.groups.alterOffsets('administered', offsets)
  assert.deepEqual(
    [...(await admin.groups.offsets('administered')).values()].map(({ offset }) => offset),
    [0n, 0n],
  )
  orThrow(await admin.groups.deleteOffsets('administered', [{ topic: 'administered', partition: 0 }]))
  assert.equal((await admin.groups.offsets('administered')).size, 1)
  assert.ok((await admin.groups.list()).some(({ groupId, state }) => groupId === 'administered' && state === 'Empty'))
  orThrow(await admin.groups.delete(['administered']))
  assert.equal(
    (await admin.groups.list()).some(({ groupId }) => groupId === 'administered'),
    false,
  )
})
