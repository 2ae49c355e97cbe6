import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Partition } from '../cluster/replication/partition.ts'
import { sameForAll } from '../coordinators/transaction/add-partitions.ts'
import type { AddPartitionsRequest } from '../coordinators/transaction/transaction-coordinator.ts'
import { batchOf, FROM_CLIENT, LogFixture } from '../log/log-fixture.ts'
import { ErrorCode, type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { TransactionAdmission } from './transaction-admission.ts'

/** A partition, and a coordinator that answers when it is told to. */
async function setUp({ verifies = true } = {}) {
  const log = await (await new LogFixture().open()).log()
  const partition = { topic: 't', index: 0, log } as Partition
  const questions: { readonly request: AddPartitionsRequest; answer(name: ErrorName): void }[] = []
  const admission = new TransactionAdmission(
    {
      verifyOrAddPartitions: (request) =>
        new Promise((resolve) => {
          questions.push({ request, answer: (name) => resolve(sameForAll(request.topics, ErrorCode[name])) })
        }),
    },
    () => verifies,
  )
  const batch = (baseSequence = 0, producerId = 1n) =>
    batchOf(1, { producerId, producerEpoch: 0, baseSequence, transactional: true })
  /** Appends when it is its turn. Answers how that went. */
  const write = async (bytes: Buffer, support: 'classic' | 'implicit' = 'implicit'): Promise<string> => {
    try {
      const verdict = (await admission.admit('tx', [{ partition, batch: bytes }], support))?.get(partition)
      if (verdict instanceof KafkaError) throw verdict
      log.append(bytes, { ...FROM_CLIENT, ...(verdict !== undefined && { verification: verdict }) })
      return 'NONE'
    } catch (error) {
      return (error as KafkaError).code
    }
  }
  const end = () => {
    const marker = { result: 'abort', producerId: 1n, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1n } as const
    log.append(endTransactionMarker(marker), { origin: 'coordinator', leaderEpoch: 0 })
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { admission, partition, questions, batch, write, end, settled }
}

test('the first batch of a transaction waits for its coordinator, and the next ones for the first', async () => {
  const { questions, batch, write, settled } = await setUp()
  const writes = [write(batch(0)), write(batch(1)), write(batch(2))]
  await settled()
  assert.deepEqual(
    questions.map(({ request }) => request),
    [{ transactionalId: 'tx', producerId: 1n, producerEpoch: 0, topics: [{ name: 't', partitions: [0] }] }],
  )
  questions[0].answer('NONE')
  assert.deepEqual(await Promise.all(writes), ['NONE', 'NONE', 'NONE'])
  assert.equal(questions.length, 1)
  assert.equal(await write(batch(3)), 'NONE')
  assert.equal(questions.length, 1)
})

test('a batch whose transaction ends between the answer and the write is refused, and the next asks anew', async () => {
  const { questions, batch, write, end, settled } = await setUp()
  const late = write(batch())
  await settled()
  end()
  questions[0].answer('NONE')
  assert.equal(await late, 'INVALID_TXN_STATE')
  const next = write(batch())
  await settled()
  questions[1].answer('NONE')
  assert.equal(await next, 'NONE')
})

test('what the coordinator refuses is not written, and what follows it must not be the first of its producer', async () => {
  const { questions, batch, write, settled } = await setUp()
  const writes = [write(batch(5)), write(batch(6))]
  await settled()
  questions[0].answer('NOT_ENOUGH_REPLICAS')
  await settled()
  questions[1].answer('NONE')
  assert.deepEqual(await Promise.all(writes), ['NOT_ENOUGH_REPLICAS', 'OUT_OF_ORDER_SEQUENCE_NUMBER'])
})

test('where verification is disabled only partitions that are to be added are asked for', async () => {
  const { questions, batch, write, settled } = await setUp({ verifies: false })
  assert.equal(await write(batch(), 'classic'), 'NONE')
  assert.equal(questions.length, 0)
  const added = write(batch(0, 2n))
  await settled()
  questions[0].answer('TRANSACTION_ABORTABLE')
  assert.equal(await added, 'TRANSACTION_ABORTABLE')
})

test('a request holds batches of one producer', async () => {
  const { admission, partition, batch } = await setUp()
  const batches = [batch(0, 1n), batch(0, 2n)].map((bytes) => ({ partition, batch: bytes }))
  assert.throws(() => admission.admit('tx', batches, 'implicit'), { code: 'INVALID_PRODUCER_ID_MAPPING' })
})
