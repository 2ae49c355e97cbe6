// A single node that grows into a cluster: its topics, records, groups and ids go on where they were.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { createTopic, fetchFrom, metadataOf, produced, valuesIn } from '../../test/conformance/requests.ts'
import { Broker } from '../broker/broker.ts'
import { ClusterIdError } from '../cluster/found-cluster.ts'
import { takeSingleNode } from '../cluster/take-single-node.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import { realClock } from '../host/clock.ts'
import { silentLogger } from '../host/logger.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { SimEtcd } from '../sim/etcd.ts'

const DIRECTORY = '/data'
const METADATA = `${DIRECTORY}/__cluster_metadata`

function start(disk: MemoryDisk, id: number, etcd?: SimEtcd): Promise<Broker> {
  const given = { 'node.id': String(id), listeners: 'PLAINTEXT://127.0.0.1:0', 'broker.session.timeout.ms': '2000' }
  const settings = Object.entries(given).map(([key, value]) => ({ key, value, origin: 'config' }))
  return Broker.start({
    config: loadStaticConfig({ settings }).config,
    directories: [DIRECTORY],
    disk,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    logger: silentLogger,
    ...(etcd && { cluster: { store: etcd.handle(`broker-${id}`, realClock) } }),
  })
}

const addressOf = ({ endpoint: { host, port } }: Broker) => `${host}:${port}`

test('a single node is taken into a cluster with all that it has, and others join it', async () => {
  const disk = new MemoryDisk()
  const single = await start(disk, 1)
  let client = await RawClient.connect(addressOf(single))
  const topic = await createTopic(client, { configs: { 'retention.ms': '123456' } })
  await produced(client, topic, ['a', 'b'])
  const { clusterId } = await metadataOf(client, [])
  client.close()
  await single.close()

  const etcd = new SimEtcd({ clock: realClock, random: realRandom })
  const store = etcd.handle('tool', realClock)
  // By mistake: nothing may happen to the data.
  await assert.rejects(start(disk, 1, etcd), /metadata of a single node/)
  const options = { disk, random: realRandom, directory: METADATA, store, cleanShutdown: true }
  const taken = await takeSingleNode(options)
  assert.equal(taken.clusterId, clusterId)
  assert.equal(await disk.exists(taken.keptAs), true)
  await assert.rejects(takeSingleNode(options), /holds no metadata/)

  const first = await start(disk, 1, etcd)
  const second = await start(new MemoryDisk(), 2, etcd)
  client = await RawClient.connect(addressOf(first))
  const { topics, brokers, clusterId: after } = await metadataOf(client, [topic.name])
  assert.equal(after, clusterId)
  assert.equal(brokers.length, 2)
  assert.equal(topics[0]!.topicId, topic.id)
  await produced(client, topic, ['c'])
  assert.deepEqual(valuesIn((await fetchFrom(client, topic, 0n)).records), ['a', 'b', 'c'])
  client.close()
  await second.close()
  await first.close()
  await store.close()
  etcd.close()
})

test('a node is not taken into a store in which another cluster lives', async () => {
  const disk = new MemoryDisk()
  await (await start(disk, 1)).close()
  const etcd = new SimEtcd({ clock: realClock, random: realRandom })
  const other = await start(new MemoryDisk(), 9, etcd)
  const store = etcd.handle('tool', realClock)
  const options = { disk, random: realRandom, directory: METADATA, store, cleanShutdown: true }
  await assert.rejects(takeSingleNode(options), ClusterIdError)
  await other.close()
  await store.close()
  etcd.close()
})
