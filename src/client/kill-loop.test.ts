// Strategy: brokers of a real cluster are killed and started in turn, members of the groups come and go, while a producer writes numbered
// records, one group copies them to another topic exactly once, and another reads both at least once.
// Invariants: no client dies or stalls; what was acknowledged is in the log once, at the offset that was told, in order per key;
// the copy holds each record once; at-least-once handlers have had each record, keys in order but for what comes again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../testing/start-cluster.ts'
import { connect, json, orThrow, string, topic } from './client.ts'

interface Count {
  n: number
}

const KEYS = 7
const PARTITIONS = 3
const KILLS = 4
const source = topic<Count>('source', { key: string(), value: json() })
const copy = topic<Count>('copy', { key: string(), value: json() })

test('through killed brokers and rebalances clients go on, and each record counts as often as was promised', async () => {
  await using cluster = await startCluster({ config: { 'min.insync.replicas': '2' } })
  const options = { bootstrapServers: cluster.bootstrapServers, requestTimeoutMs: 3000 }
  await using client = connect(options)
  orThrow(
    await client.admin.topics.create([source, copy].map(({ name }) => ({ name, partitions: PARTITIONS, replicationFactor: 3 }))),
  )

  const from = { autoOffsetReset: 'earliest', fetchMaxWaitMs: 50, heartbeatIntervalMs: 200, sessionTimeoutMs: 6000 } as const
  const seen = new Map<number, number>()
  const failures: unknown[] = []
  const readers: Promise<void>[] = []
  const read = () => {
    const consumer = client.consumer({ ...from, groupId: 'readers', topics: source, commitIntervalMs: 50 })
    const handle = async ({ value }: { value: Count }) => {
      await new Promise(setImmediate)
      seen.set(value.n, (seen.get(value.n) ?? 0) + 1)
    }
    readers.push(consumer.run(handle, { concurrency: 4, order: 'key' }).catch((error) => void failures.push(error)))
    return consumer
  }
  const copier = client.consumer({
    ...from,
    groupId: 'copiers',
    topics: source,
    guarantee: 'exactly-once',
    transactionalId: 'copier',
    producer: { requestTimeoutMs: 3000 },
  })
  const copying = copier.run(({ key, value }, { send }) => send(copy, { key, value })).catch((error) => void failures.push(error))
  const first = read()
  let second = read()

  const producer = client.producer({ lingerMs: 2, requestTimeoutMs: 3000 })
  const acknowledged = new Map<string, number>()
  let writing = true
  let sent = 0
  const write = async () => {
    while (writing) {
      const burst = Array.from({ length: 20 }, () => sent++)
      const results = await producer.sendMany(
        source,
        burst.map((n) => ({ key: `key-${n % KEYS}`, value: { n } })),
      )
      for (const [i, { partition, offset }] of results.entries()) acknowledged.set(`${partition}/${offset}`, burst[i])
    }
  }
  const writer = write()
  writer.catch(() => {})

  for (let kill = 0; kill < KILLS; kill++) {
    const victim = cluster.broker((kill % 3) + 1)
    const before = sent
    await until(() => sent > before + 100, 'records to be written')
    await victim.kill()
    const during = sent
    await until(() => sent > during + 100, 'records to be written while a broker is down')
    if (kill % 2 === 0) {
      await second.stop()
      second = read()
    }
    await victim.start()
  }
  writing = false
  await writer
  await producer.close()

  assert.equal(acknowledged.size, sent, 'each acknowledgement names an offset of its own')
  await until(
    () => seen.size === sent,
    () => `${seen.size} of ${sent} seen`,
  )
  const checked = connect(options)
  const inSource = await readAll(checked, 'source-check', source, sent)
  const inCopy = await readAll(checked, 'copy-check', copy, sent)
  await Promise.all([first.stop(), second.stop(), copier.stop()])
  await Promise.all([...readers, copying])
  assert.deepEqual(failures, [])

  for (const [at, n] of acknowledged) assert.equal(inSource.get(at), n, `what was acknowledged at ${at}`)
  assert.equal(inSource.size, sent)
  assert.deepEqual(
    [...inCopy.values()].sort((a, b) => a - b),
    Array.from({ length: sent }, (_, n) => n),
  )
  for (const log of [inSource, inCopy]) {
    const last = new Map<number, number>()
    for (const n of log.values()) {
      assert.ok(n > (last.get(n % KEYS) ?? -1), `${n} is in the order of its key`)
      last.set(n % KEYS, n)
    }
  }
  const stored = await checked.admin.groups.offsets('readers')
  const total = [...stored.values()].reduce((sum, { offset }) => sum + offset, 0n)
  assert.equal(total, BigInt(sent), 'all is committed in the end')
  await checked.close()
})

/** Committed records by partition and offset, read until `count` have come and the end is reached. */
async function readAll(
  client: ReturnType<typeof connect>,
  groupId: string,
  of: typeof source,
  count: number,
): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const consumer = client.consumer({ autoOffsetReset: 'earliest', groupId, topics: of, isolationLevel: 'read_committed' })
  const running = consumer.run(({ partition, offset, value }) => void found.set(`${partition}/${offset}`, value.n))
  await until(
    () => found.size >= count && consumer.stats().lag === 0n,
    () => `${found.size} of ${count} in ${of.name}`,
  )
  await consumer.stop()
  await running
  return found
}

async function until(condition: () => boolean, what: string | (() => string)): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited in vain for ${typeof what === 'string' ? what : what()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
