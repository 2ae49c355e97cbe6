// kafka-transactions as a user runs it. With TEST_BROKER=apache-kafka it is Kafka's, on Kafka's broker.

import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { againstKafka } from '../../test/support/broker-process.ts'
import { RestartableBroker } from '../../test/support/broker-under-test.ts'
import { eventually } from '../../test/support/eventually.ts'
import { startTool, tool } from '../../test/support/tools.ts'
import { orThrow } from '../client/admin/results.ts'
import { Admin } from '../client/admin.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { listOffsets, OffsetSpec } from '../client/list-offsets.ts'
import { Producer } from '../client/producer.ts'
import { realClock } from '../host/clock.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'

let broker: RestartableBroker
let cluster: ClusterClient
let admin: Admin

before(async () => {
  broker = await RestartableBroker.start()
  const { bootstrapServers } = broker
  cluster = new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })
  admin = new Admin(cluster)
})

after(async () => {
  await cluster?.close()
  await broker?.close()
})

const arguments_ = (line: string) => ['--bootstrap-server', broker.bootstrapServers, ...line.split(' ')]

/** Rows of cells, blanks taken off, the header first. */
async function table(line: string): Promise<string[][]> {
  const { stdout } = await tool('kafka-transactions', arguments_(line))
  const lines = stdout.split('\n').slice(0, -1)
  assert.equal(new Set(lines.map((row) => row.length - row.replaceAll('\t', '').length)).size, 1, stdout)
  return lines.map((row) =>
    row
      .split('\t')
      .slice(0, -1)
      .map((cell) => cell.trim()),
  )
}

async function refusal(line: string): Promise<string> {
  const running = await startTool('kafka-transactions', arguments_(line))
  running.child.stdin!.end()
  const { code, stderr } = await running.ended
  assert.equal(code, 1)
  return stderr
}

async function open(transactionalId: string, topic: string): Promise<Producer> {
  const producer = new Producer(cluster, { transactionalId, lingerMs: 0 })
  await producer.begin()
  await producer.send({ topic, value: 'a', partition: 0 })
  return producer
}

test('transactions are listed and described', async () => {
  orThrow(await admin.topics.create([{ name: 'seen', partitions: 1 }]))
  const producer = await open('seen-open', 'seen')
  await (await open('seen-done', 'seen')).commit()
  const idle = new Producer(cluster, { transactionalId: 'seen-idle' })
  await idle.initTransactions()
  await eventually(async () => {
    const [header, ...rows] = await table('list --transactional-id-pattern seen-.*')
    assert.deepEqual(header, ['TransactionalId', 'Coordinator', 'ProducerId', 'TransactionState'])
    assert.deepEqual(rows.map(([id, coordinator, , state]) => [id, coordinator, state]).sort(), [
      ['seen-done', '1', 'CompleteCommit'],
      ['seen-idle', '1', 'Empty'],
      ['seen-open', '1', 'Ongoing'],
    ])
  })
  const matching = (await table('list --transactional-id-pattern (?i)SEEN-[di].*')).slice(1).map(([id]) => id)
  assert.deepEqual(matching, ['seen-done', 'seen-idle'])
  const [header, [coordinator, id, , epoch, state, timeout, start, duration, partitions]] = await table(
    'describe --transactional-id seen-open',
  )
  assert.deepEqual(header, [
    'CoordinatorId',
    'TransactionalId',
    'ProducerId',
    'ProducerEpoch',
    'TransactionState',
    'TransactionTimeoutMs',
    'CurrentTransactionStartTimeMs',
    'TransactionDurationMs',
    'TopicPartitions',
  ])
  assert.deepEqual([coordinator, id, epoch, state, timeout, partitions], ['1', 'seen-open', '0', 'Ongoing', '60000', 'seen-0'])
  assert.match(start, /^\d{13}$/)
  assert.match(duration, /^\d+$/)
  const [, unused] = await table('describe --transactional-id seen-idle')
  assert.deepEqual(unused.slice(4), ['Empty', '60000', 'None', 'None', ''])
  assert.match(
    await refusal('describe --transactional-id unseen'),
    /Failed to describe transaction state of transactional-id `unseen`: /,
  )
  await producer.close()
})

test('the producers of a partition are described, and a transaction there can be aborted', async () => {
  orThrow(await admin.topics.create([{ name: 'held', partitions: 1 }]))
  await (await open('held-done', 'held')).commit()
  const producer = await open('held-open', 'held')
  const [header, ...rows] = await table('describe-producers --topic held --partition 0')
  assert.deepEqual(header, [
    'ProducerId',
    'ProducerEpoch',
    'LatestCoordinatorEpoch',
    'LastSequence',
    'LastTimestamp',
    'CurrentTransactionStartOffset',
  ])
  const start = rows.find(([, , , , , offset]) => offset !== 'None')!
  assert.deepEqual([start[1], start[2], start[3], start[5]], ['0', '-1', '0', '2'])
  assert.match(
    await refusal('abort --topic held --partition 0 --start-offset 77'),
    /Could not find any open transactions starting at offset 77 on partition held-0/,
  )
  await tool('kafka-transactions', arguments_('abort --topic held --partition 0 --start-offset 2'))
  const after = await table('describe-producers --topic held --partition 0')
  assert.deepEqual([...new Set(after.slice(1).map((row) => row[5]))], ['None'])
  await producer.close()
})

test('a transaction that no coordinator knows is found and aborted, and the partition can be read to its end', async () => {
  orThrow(await admin.topics.create([{ name: 'stuck', partitions: 2 }]))
  const records = new RecordBatchBuilder()
  const longAgo = BigInt(Date.now() - 3_600_000)
  records.append({ timestamp: longAgo, value: Buffer.from('a') })
  const producer = { producerId: 4242n, producerEpoch: 3, baseSequence: 0, transactional: true }
  const batch = records.build({ ...producer, leaderEpoch: 0 })
  // No broker takes such a batch any more: it gets there behind its back.
  await broker.kill()
  const segment = join(broker.dataDirectory, againstKafka ? 'logs' : '', 'stuck-1', '00000000000000000000.log')
  await appendFile(segment, batch)
  await broker.startAgain()
  const known = await eventually(() => open('stuck-known', 'stuck'))

  const [header, ...found] = await table('find-hanging --topic stuck')
  assert.deepEqual(header, [
    'Topic',
    'Partition',
    'ProducerId',
    'ProducerEpoch',
    'CoordinatorEpoch',
    'StartOffset',
    'LastTimestamp',
    'Duration(min)',
  ])
  assert.deepEqual(found, [['stuck', '1', '4242', '3', '-1', '0', `${longAgo}`, '60']])
  assert.deepEqual(await table('find-hanging --broker-id 1 --max-transaction-timeout 120'), [header])
  assert.match(await refusal('find-hanging'), /requires either --topic or --broker-id/)

  await tool('kafka-transactions', arguments_('abort --topic stuck --partition 1 --start-offset 0'))
  assert.deepEqual(await table('find-hanging --topic stuck'), [header])
  const query = { topic: 'stuck', partition: 1, timestamp: OffsetSpec.LATEST }
  const [end] = (await listOffsets(cluster, [query], { isolationLevel: 'read_committed' })).values()
  assert.ok(end !== undefined && !(end instanceof KafkaError))
  assert.equal(end.offset, 2n)
  await known.close()
})

test('a transactional id is terminated: what it left open is aborted', async () => {
  orThrow(await admin.topics.create([{ name: 'ended', partitions: 1 }]))
  const producer = await open('ended', 'ended')
  await tool('kafka-transactions', arguments_('forceTerminateTransaction --transactionalId ended'))
  await eventually(async () => assert.equal((await table('describe --transactional-id ended'))[1][4], 'Empty'))
  await assert.rejects(producer.commit())
})

test('what makes no sense is said in one line', { skip: againstKafka }, async () => {
  assert.equal(await refusal('nonsense'), "kafka-transactions: unknown command 'nonsense'; see kafka-transactions --help\n")
  assert.match(await refusal('describe'), /^kafka-transactions: required option '--transactional-id <id>' not specified; .*\n$/)
  assert.match(
    await refusal('find-hanging --topic t --max-transaction-timeout soon'),
    /It must be an integer from 0 to \d+\.; .*\n$/,
  )
  assert.equal(
    await refusal('describe-producers --topic seen --partition 7'),
    'kafka-transactions: topic seen has no partition 7, it has 1\n',
  )
  assert.equal(
    await refusal('describe-producers --topic seen --partition 0 --broker-id 7'),
    'kafka-transactions: there is no broker 7\n',
  )
  const abort = 'abort --topic seen --partition 0 --producer-id 3'
  assert.equal(await refusal(abort), 'kafka-transactions: Missing required argument --producer-epoch\n')
})
