// What is said of clusters that were put together by hand.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeStatus, findProblems } from './cluster-health.ts'
import type { Observation, ObservedBroker, ObservedPartition } from './cluster-observation.ts'
import type { StoreObservation } from './store-health.ts'

const GIB = 1024 ** 3

const broker = (id: number, more: Partial<ObservedBroker> = {}): ObservedBroker => ({
  id,
  host: `host${id}`,
  port: 9092,
  rack: null,
  fenced: false,
  disk: { totalBytes: 100 * GIB, usableBytes: 50 * GIB },
  ...more,
})
const partition = (index: number, more: Partial<ObservedPartition> = {}): ObservedPartition => ({
  topic: 't',
  index,
  leader: 1,
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  elr: [],
  adding: [],
  removing: [],
  minIsr: 2,
  internal: false,
  bytes: 0,
  ...more,
})
const member = (address: string, more = {}) => ({
  address,
  version: '3.5.16',
  bytes: 1024,
  isLeader: false,
  leaderless: false,
  alarms: [] as string[],
  raftIndex: 100,
  ...more,
})
const store = (more: Partial<StoreObservation> = {}): StoreObservation => ({
  members: [member('e1', { isLeader: true }), member('e2'), member('e3')],
  metadata: {
    clusterId: 'c',
    revision: 42,
    controller: 1,
    controllerEpoch: 7,
    brokers: [1, 2, 3].map((id) => ({ id, epoch: 10 + id, machine: `m${id}`, fenced: false, stopping: false, alive: true })),
  },
  ...more,
})
const cluster = (more: Partial<Observation> = {}): Observation => ({
  clusterId: 'c',
  brokers: [broker(1), broker(2), broker(3)],
  partitions: [partition(0), partition(1, { leader: 2 })],
  store: store(),
  ...more,
})
const whats = (observed: Observation) => findProblems(observed).map(({ what }) => what)

test('of a cluster that is as it should be nothing is said', () => {
  assert.deepEqual(findProblems(cluster()), [])
  assert.deepEqual(findProblems(cluster({ store: undefined })), [])
})

test('a partition without a leader waits for those who have everything, and only for them', () => {
  const brokers = [broker(1), broker(2, { fenced: true }), broker(3, { fenced: true })]
  const [first] = findProblems(
    cluster({ brokers, partitions: [partition(0, { leader: -1, isr: [], elr: [3], replicas: [2, 3] })] }),
  )
  assert.match(first.what, /^1 partition without a leader.*: t-0$/)
  assert.match(first.todo, /^Start broker 3:/)
})

test('too few in sync, out of sync and brittle are different things', () => {
  const brokers = [broker(1), broker(2), broker(3, { fenced: true })]
  const partitions = [
    partition(0, { isr: [1] }),
    partition(1, { isr: [1, 2] }),
    partition(2, { minIsr: 3 }),
    partition(3, { replicas: [1], isr: [1], minIsr: 1 }),
    // On the move: what is added is not in sync yet, and need not be.
    partition(4, { replicas: [1, 2, 3], isr: [1, 2], adding: [3] }),
  ]
  assert.deepEqual(whats(cluster({ brokers, partitions })), [
    '1 partition with fewer in-sync replicas than min.insync.replicas, refusing acks=all: t-0',
    '1 partition with replicas out of sync: t-1',
    'broker 3 (host3:9092) does not serve',
    '1 partition with a single replica: t-3',
    '1 partition whose min.insync.replicas allows no replica to be away: t-2',
  ])
})

test('many partitions are counted, a few named', () => {
  const partitions = Array.from({ length: 8 }, (_, index) => partition(index, { isr: [1, 2] }))
  assert.deepEqual(whats(cluster({ partitions })), [
    '8 partitions with replicas out of sync: t-0, t-1, t-2, t-3, t-4, and 3 more',
  ])
})

test('a full disk is named', () => {
  const brokers = [broker(1, { disk: { totalBytes: 100 * GIB, usableBytes: 4 * GIB } }), broker(2), broker(3)]
  assert.deepEqual(whats(cluster({ brokers })), ['the disk of broker 1 is 96 % full'])
})

test('what ails etcd comes first: silence, alarms, size, distance, another cluster, no controller', () => {
  const [silent] = findProblems(
    cluster({ store: store({ members: [member('e1'), member('e2'), { address: 'e3', problem: 'refused' }] }) }),
  )
  assert.match(silent.todo, /a majority and go on/)
  const minority = [member('e1'), { address: 'e2', problem: 'refused' }, { address: 'e3', problem: 'refused' }]
  assert.match(findProblems(cluster({ store: store({ members: minority }) }))[0].todo, /nothing fails over/)
  const ailing = [
    member('e1', { alarms: ['NOSPACE'], raftIndex: 50_000 }),
    member('e2', { bytes: 1.8 * GIB, raftIndex: 50_000 }),
    member('e3'),
  ]
  assert.deepEqual(whats(cluster({ store: store({ members: ailing }) })), [
    'etcd at e1 is out of space: it takes no changes, and no lease',
    'etcd at e2 is 1843 MiB large',
    'etcd at e3 is 49900 entries behind',
  ])
  const { metadata } = store()
  assert.match(
    whats(cluster({ store: store({ metadata: { ...metadata!, clusterId: 'other' } }) }))[0],
    /of cluster other, the brokers are of c/,
  )
  assert.deepEqual(whats(cluster({ store: store({ metadata: { ...metadata!, controller: null } }) })), [
    'no broker is the controller',
  ])
  assert.deepEqual(whats(cluster({ store: store({ metadata: undefined }) })), ['no cluster has its metadata in this etcd'])
})

test('the status shows brokers, their epochs and machines, and the members of etcd', () => {
  assert.deepEqual(describeStatus(cluster()), [
    'Cluster c: 3 brokers, 2 partitions, 0 on the move',
    '',
    'BROKER ADDRESS    RACK STATE  EPOCH MACHINE LEADS REPLICAS OUT-OF-SYNC DISK-USED',
    '1*     host1:9092 -    active 11    m1      1     2        0           50 %',
    '2      host2:9092 -    active 12    m2      1     2        0           50 %',
    '3      host3:9092 -    active 13    m3      0     2        0           50 %',
    '',
    'Metadata: revision 42, controller 1 (*) in epoch 7',
    'ETCD STATE    VERSION SIZE    ALARMS',
    'e1   leader   3.5.16  0.0 MiB -',
    'e2   follower 3.5.16  0.0 MiB -',
    'e3   follower 3.5.16  0.0 MiB -',
  ])
})
