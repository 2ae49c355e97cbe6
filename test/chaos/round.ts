// One round: topics of its own, load, a fault, recovery, and a verdict on all that the clients saw.

import { orThrow } from '../../src/client/admin/results.ts'
import { Admin } from '../../src/client/admin.ts'
import { eventually } from '../support/eventually.ts'
import type { ChaosCluster } from './chaos-cluster.ts'
import { type Anomaly, check } from './checker.ts'
import { Dice } from './dice.ts'
import type { Fault } from './faults.ts'
import type { History } from './history.ts'
import { hasLibrdkafka } from './librdkafka-load.ts'
import { type Load, readEverything, startLoad } from './load.ts'
import { Recorder } from './recorder.ts'

export interface Verdict {
  readonly anomalies: readonly Anomaly[]
  /** What went wrong besides: nothing recovers, a process ended by itself, a transaction stays open. */
  readonly failure: string | undefined
  readonly hit: string
  readonly history: History
  readonly acknowledged: number
  /** The longest time in which no record was acknowledged. */
  readonly longestSilenceMs: number
}

const PARTITIONS = 4
/** Acknowledged before the fault, and again after it. */
const WARM = 40

export async function runRound(cluster: ChaosCluster, fault: Fault, name: string, seed: number): Promise<Verdict> {
  const dice = new Dice(seed)
  const recorder = new Recorder()
  const topics = { source: name, copies: `${name}-copies`, partitions: PARTITIONS }
  const hit: string[] = []
  let final: History['final'] = { read_committed: [], read_uncommitted: [] }
  const verdict = (failure?: string): Verdict => {
    const history = recorder.history(final)
    const unexpected = fault.name.startsWith('fill disk')
      ? []
      : [...cluster.brokers, ...cluster.etcd].flatMap(({ daemon }) => daemon.unexpected)
    return {
      anomalies: failure === undefined ? check(history) : [],
      failure: failure ?? unexpected[0],
      hit: hit.join(', '),
      history,
      acknowledged: recorder.acknowledged(),
      longestSilenceMs: longestSilence(history),
    }
  }
  for (const { daemon } of [...cluster.brokers, ...cluster.etcd]) daemon.unexpected.length = 0
  let step = 'creating topics'
  let load: Load | undefined
  const client = cluster.client()
  try {
    const admin = new Admin(client)
    const names = [topics.source, topics.copies]
    orThrow(await admin.topics.create(names.map((topic) => ({ name: topic, partitions: PARTITIONS, replicationFactor: 3 }))))
    load = startLoad(cluster, recorder, topics, dice)
    step = 'load before the fault'
    await progress(recorder)
    step = 'the fault'
    const [transactionalId] = load.transactionalIds
    const [group] = load.groups
    await fault.run({ cluster, topics, transactionalId, group, dice, note: (text) => hit.push(text) })
    step = 'recovery'
    await cluster.whole()
    step = 'load after the fault'
    await progress(recorder)
    step = 'the end of the load'
    await load.stop()
    step = 'the final read'
    final = await readEverything(client, topics)
    const judged = verdict()
    if (judged.anomalies.length === 0) orThrow(await admin.topics.delete(names))
    return judged
  } catch (error) {
    load?.abandon()
    return verdict(`${step}: ${(error as Error).stack}`)
  } finally {
    await client.close()
  }
}

/** Every writer gets on. */
async function progress(recorder: Recorder): Promise<void> {
  const since = recorder.now()
  for (const process of ['s1', 's2', 't1', 't2', ...(hasLibrdkafka() ? ['ls', 'lt'] : [])]) {
    const wanted = process.includes('t') ? 2 : WARM
    const count = () =>
      recorder.operations.filter(
        (operation) => operation.process === process && operation.type === 'ok' && operation.start >= since,
      ).length
    await eventually(() => count() >= wanted, { what: `${wanted} acknowledgements for ${process}`, withinMs: 60_000 })
  }
}

function longestSilence({ operations }: History): number {
  const ends = operations.filter(({ f, type }) => f === 'send' && type === 'ok').map(({ end }) => end)
  ends.sort((a, b) => a - b)
  return ends.reduce((longest, end, i) => (i === 0 ? 0 : Math.max(longest, end - ends[i - 1])), 0)
}
