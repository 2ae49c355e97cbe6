// A broker's life within a run: started when it is first needed, warmed up, measured scenario by scenario, stopped.

import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../test/interop/apache-kafka.ts'
import { mustRun } from '../../test/interop/command.ts'
import type { BrokerKind, RunningBroker, StartOptions } from '../brokers/broker.ts'
import { runLoad } from '../clients/load.ts'
import type { Load, Start } from '../loads/load.ts'
import { prepare } from '../loads/prepare.ts'
import type { Values } from './metrics.ts'
import { forgetPeak, peakMegabytes, processorSeconds, residentMegabytes } from './process-figures.ts'

const SYNC_TIMEOUT_MS = 300_000
const SETTLED_AFTER_MS = 3000
const WARM_UP_SECONDS = 3
const QUICK_WARM_UP_SECONDS = 0.3

export interface SessionOptions extends StartOptions {
  readonly quick: boolean
  readonly signal: AbortSignal
}

export class Session implements AsyncDisposable {
  readonly #kind: BrokerKind
  readonly #options: SessionOptions
  #broker: RunningBroker | undefined
  #loads = 0

  constructor(kind: BrokerKind, options: SessionOptions) {
    this.#kind = kind
    this.#options = options
  }

  /** One round of one scenario. */
  async measure(load: Load): Promise<Values> {
    if (load.kind === 'start') return await measureStart(load, this.#kind, this.#options)
    this.#broker ??= await this.#start()
    const { pid } = this.#broker
    const { signal } = this.#options
    const topic = `load-${++this.#loads}`
    const work = await prepare(load, { broker: this.#broker, kind: this.#kind, topic, signal })
    // What was written before must not be this load's burden.
    if (!this.#options.quick) await mustRun(['sync'], { timeoutMs: SYNC_TIMEOUT_MS, signal })
    await forgetPeak(pid)
    const idleMb = await residentMegabytes(pid)
    const before = await processorSeconds(pid)
    const { values, bytes, records } = await work()
    const busy = (await processorSeconds(pid)) - before
    return {
      ...values,
      ...(bytes && { cpuPerGb: busy / (bytes / 1e9) }),
      ...(records && { cpuPerMillion: busy / (records / 1e6) }),
      idleMb,
      peakMb: await peakMegabytes(pid),
    }
  }

  /** After a load that failed, nobody knows what the broker is still busy with. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#broker?.stop()
    this.#broker = undefined
  }

  /** Compilers and caches get a start that no figure counts. */
  async #start(): Promise<RunningBroker> {
    const broker = await this.#kind.start(this.#options)
    try {
      const common = { target: this.#kind.protocol, address: broker.address, topic: 'warm-up' }
      await runLoad('create', common, this.#options.signal)
      for (const acks of ['1', 'all']) {
        await runLoad(
          'produce',
          { ...common, acks, seconds: this.#options.quick ? QUICK_WARM_UP_SECONDS : WARM_UP_SECONDS },
          this.#options.signal,
        )
      }
      return broker
    } catch (error) {
      await broker.stop()
      throw error
    }
  }
}

async function measureStart({ acks, seconds }: Start, kind: BrokerKind, options: SessionOptions): Promise<Values> {
  const [port] = await freePorts(1)
  const waiting = runLoad('first', { target: kind.protocol, address: `127.0.0.1:${port}`, topic: 'first', acks }, options.signal)
  waiting.catch(() => {}) // told below, once the broker has started
  const broker = await kind.start({ ...options, port: port! })
  try {
    const { acknowledgedAtMs } = await waiting
    await sleep(SETTLED_AFTER_MS, undefined, { signal: options.signal })
    const idleMb = await residentMegabytes(broker.pid)
    const before = await processorSeconds(broker.pid)
    await sleep(seconds * 1000, undefined, { signal: options.signal })
    const busy = (await processorSeconds(broker.pid)) - before
    return {
      startMs: acknowledgedAtMs - performance.timeOrigin - broker.spawnedMs,
      idleCpuPercent: (busy / seconds) * 100,
      idleMb,
      peakMb: await peakMegabytes(broker.pid),
    }
  } finally {
    await broker.stop()
  }
}
