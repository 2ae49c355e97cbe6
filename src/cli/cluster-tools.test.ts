// The tools for clusters as a user runs them, against three brokers in this process. What they print was compared with what Kafka's own
// print of the same cluster.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../../test/support/eventually.ts'
import { runMoldau } from '../../test/support/moldau-process.ts'
import { temporaryDirectory } from '../../test/support/temporary-directory.ts'
import { startTool, tool } from '../../test/support/tools.ts'
import { startCluster, type TestCluster } from '../testing/start-cluster.ts'

let cluster: TestCluster
let directory: { readonly path: string } & AsyncDisposable

before(async () => {
  cluster = await startCluster()
  directory = await temporaryDirectory()
})
after(async () => {
  await cluster.close()
  await directory[Symbol.asyncDispose]()
})

/** Words as on a command line. */
async function run(line: string): Promise<string> {
  const [name, ...args] = line.split(/\s+/)
  return (await tool(name, [...args, '--bootstrap-server', cluster.bootstrapServers])).stdout
}

async function file(name: string, contents: object): Promise<string> {
  const path = join(directory.path, name)
  await writeFile(path, JSON.stringify(contents))
  return path
}

const moldau = (...args: string[]) => runMoldau([...args, '--bootstrap-server', cluster.bootstrapServers])

test('kafka-cluster tells the id and where brokers are', async () => {
  assert.match(await run('kafka-cluster cluster-id'), /^Cluster ID: [\w-]{22}\n$/)
  const [header, ...rows] = (await run('kafka-cluster list-endpoints')).trimEnd().split('\n')
  assert.match(header, /^ID +HOST +PORT +RACK +STATE +ENDPOINT_TYPE +$/)
  assert.deepEqual(
    rows.map((line) => line.split(/ +/).slice(0, 6)),
    cluster.brokers.map(({ id, address }) => [`${id}`, ...address.split(':'), 'null', 'unfenced', 'broker']),
  )
})

test('a partition is moved, verified, elected back, and tools refuse what makes no sense', async () => {
  await run('kafka-topics --create --topic moved --replica-assignment 1:2')
  const there = await file('there.json', { version: 1, partitions: [{ topic: 'moved', partition: 0, replicas: [3, 2] }] })
  const executed = await run(`kafka-reassign-partitions --execute --reassignment-json-file ${there} --throttle 1000000`)
  assert.match(
    executed,
    /^Current partition replica assignment\n\n\{"version":1,"partitions":\[\{"topic":"moved","partition":0,"replicas":\[1,2\],"log_dirs":\["\/data","\/data"\]\}\]\}\n\nSave this to use as the --reassignment-json-file option during rollback\nWarning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed\.\nThe inter-broker throttle limit was set to 1000000 B\/s\nSuccessfully started partition reassignment for moved-0\n$/,
  )
  assert.match(
    await run('kafka-configs --describe --entity-type topics --entity-name moved'),
    /follower\.replication\.throttled\.replicas=0:3/,
  )
  await eventually(async () =>
    assert.match(await run('kafka-reassign-partitions --list'), /^No partition reassignments found\.\n$/),
  )
  assert.equal(
    await run(`kafka-reassign-partitions --verify --reassignment-json-file ${there}`),
    'Status of partition reassignment:\nReassignment of partition moved-0 is completed.\n\nClearing broker-level throttles on brokers 1,2,3\nClearing topic-level throttles on topic moved\n',
  )
  assert.doesNotMatch(await run('kafka-configs --describe --entity-type topics --entity-name moved'), /throttled/)
  // What --execute has printed takes it back.
  const rollback = join(directory.path, 'rollback.json')
  await writeFile(rollback, executed.split('\n')[2])
  await run(`kafka-reassign-partitions --execute --reassignment-json-file ${rollback}`)
  await eventually(async () => assert.match(await run('kafka-topics --describe --topic moved'), /Replicas: 1,2\t/))
  await eventually(async () => assert.match(await run('kafka-topics --describe --topic moved'), /Isr: (1,2|2,1)\t/))
  assert.match(
    await run('kafka-leader-election --election-type preferred --topic moved --partition 0'),
    /^(Successfully completed leader election \(PREFERRED\) for|Valid replica already elected for) partitions moved-0\n$/,
  )
  const generated = await run(
    `kafka-reassign-partitions --generate --broker-list 1,2,3 --topics-to-move-json-file ${await file('topics.json', { topics: [{ topic: 'moved' }] })}`,
  )
  assert.match(
    generated,
    /^Current partition replica assignment\n\{.*\}\n\nProposed partition reassignment configuration\n\{.*\}\n$/,
  )

  for (const [line, problem] of [
    ['kafka-reassign-partitions --list --verify', /exactly one action/],
    ['kafka-reassign-partitions --execute', /Missing required argument "--reassignment-json-file"/],
    ['kafka-leader-election --election-type clean --all-topic-partitions', /preferred or unclean is meant/],
    ['kafka-leader-election --election-type preferred', /One and only one of the following options is required/],
    ['kafka-log-dirs --describe --broker-list 9', /do not exist from --broker-list: 9\. Current existent brokers: 1,2,3/],
    ['kafka-cluster unregister --id 9', /9/],
  ] as const) {
    const [name, ...args] = line.split(' ')
    const running = await startTool(name, [...args, '--bootstrap-server', cluster.bootstrapServers])
    running.child.stdin!.end()
    const { code, stderr } = await running.ended
    assert.equal(code, 1, line)
    assert.match(stderr, problem)
  }
})

test('kafka-log-dirs tells what lies where', async () => {
  await run('kafka-topics --create --topic sized --replica-assignment 1:2')
  const [, , json] = (await run('kafka-log-dirs --describe --topic-list sized')).split('\n')
  assert.deepEqual(
    JSON.parse(json).brokers.map(
      ({ broker, logDirs }: { broker: number; logDirs: { partitions: { partition: string }[] }[] }) => [
        broker,
        logDirs[0].partitions.map(({ partition }) => partition),
      ],
    ),
    [
      [1, ['sized-0']],
      [2, ['sized-0']],
      [3, []],
    ],
  )
})

test('what is wrong is named, with what to do, until it is mended; load moves away from a broker and back', async () => {
  await run('kafka-topics --delete --topic .*')
  await eventually(async () => assert.equal((await run('kafka-topics --list')).trim(), ''))
  await run('kafka-topics --create --topic spread --partitions 6 --replication-factor 2')
  assert.deepEqual(await moldau('cluster', 'check'), { code: 0, output: 'Nothing is wrong.\n' })

  await cluster.broker(2).kill()
  await eventually(async () =>
    assert.match((await moldau('cluster', 'check')).output, /broker 2 \(127\.0\.0\.1:\d+\) does not serve/),
  )
  const { code, output } = await moldau('cluster', 'check')
  assert.equal(code, 1)
  assert.match(output, /4 partitions with replicas out of sync: .*\n {2}Start broker 2;/)
  assert.match((await moldau('cluster', 'status')).output, /\n2 +127\.0\.0\.1:\d+ +- +fenced .* 4 +4 +-\n/)
  assert.equal((await run('kafka-topics --describe --under-replicated-partitions')).trimEnd().split('\n').length, 4)
  await cluster.broker(2).start()
  await eventually(async () => assert.equal((await moldau('cluster', 'check')).code, 0))

  const emptied = await moldau('rebalance', '--remove-broker', '2', '--execute', '--parallel', '2', '--throttle', '10000000')
  assert.equal(emptied.code, 0, emptied.output)
  assert.match(emptied.output, /4 partitions are copied/)
  assert.doesNotMatch(await run('kafka-topics --describe --topic spread'), /Replicas: (2|\d,2)\t/)
  const spread = await moldau('rebalance', '--execute')
  assert.equal(spread.code, 0, spread.output)
  assert.match((await moldau('rebalance')).output, /^There is nothing to move\.\n$/)
  const leaders = [...(await run('kafka-topics --describe --topic spread')).matchAll(/Leader: (\d)/g)].map(([, id]) => id).sort()
  assert.equal(leaders.join(''), '112233')
  assert.match((await moldau('rebalance', '--stop')).output, /^Nothing is on the move\.\n$/)
})
