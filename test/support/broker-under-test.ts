// The broker that a seed talks to. Most get the embedded one, in this process and in memory; the ones about crashes and restarts
// get a process that can be killed and started again where it was. TEST_BROKER=apache-kafka puts Kafka in both places.

import { againstKafka, type BrokerProcess, startBrokerProcess } from './broker-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export type Config = Readonly<Record<string, string>>

export interface BrokerUnderTest {
  readonly bootstrapServers: string
  close(): Promise<void>
}

/** Groups form at once: only what is about the delay waits for it. */
const CONFIG = { 'group.initial.rebalance.delay.ms': '0' }

/** A broker with nothing in it. */
export async function startBrokerUnderTest(config: Config = {}): Promise<BrokerUnderTest> {
  if (againstKafka) return RestartableBroker.start(config)
  const { startBroker } = await import('../../src/testing/start-broker.ts')
  return startBroker({ storage: 'memory', config: { ...CONFIG, ...config } })
}

/** A broker process on one port and one data directory, over all its lives. */
export class RestartableBroker implements BrokerUnderTest {
  readonly bootstrapServers: string
  readonly dataDirectory: string
  readonly #config: Config
  readonly #removeData: () => PromiseLike<void>
  #process: BrokerProcess

  private constructor(process: BrokerProcess, config: Config, removeData: () => PromiseLike<void>) {
    this.bootstrapServers = process.bootstrapServers
    this.dataDirectory = process.dataDirectory
    this.#process = process
    this.#config = config
    this.#removeData = removeData
  }

  static async start(config: Config = {}): Promise<RestartableBroker> {
    const directory = await temporaryDirectory()
    const removeData = () => directory[Symbol.asyncDispose]()
    const all = { ...CONFIG, ...config }
    try {
      return new RestartableBroker(await startBrokerProcess(directory.path, { config: all }), all, removeData)
    } catch (error) {
      await removeData()
      throw error
    }
  }

  /** SIGKILL: it gets no chance to write anything. */
  kill(): Promise<void> {
    return this.#process.kill()
  }

  /** SIGTERM. Resolves with the exit code. */
  stop(): Promise<number | null> {
    return this.#process.stop()
  }

  async startAgain(): Promise<void> {
    const port = this.#process.port
    this.#process = await startBrokerProcess(this.dataDirectory, { port, config: this.#config })
  }

  /** What the present process has written. */
  output(): string {
    return this.#process.output()
  }

  async close(): Promise<void> {
    await this.#process.kill()
    await this.#removeData()
  }
}
