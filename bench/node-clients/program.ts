// The program behind ../node-clients.ts: one client in a process of its own sends or receives what its argument says, and prints how
// long that took, and how much processor time.

import { createRequire } from 'node:module'

export interface NodeClientRun {
  readonly client: 'moldau' | 'platformatic' | 'kafkajs' | 'confluent'
  readonly kind: 'produce' | 'consume'
  readonly address: string
  readonly topic: string
  readonly records: number
  readonly size: number
  /** Where @confluentinc/kafka-javascript is installed. */
  readonly confluent?: string
}

export interface NodeClientFigures {
  readonly seconds: number
  readonly cpuSeconds: number
}

interface Side {
  produce(run: NodeClientRun, measure: Measure): Promise<void>
  consume(run: NodeClientRun, measure: Measure): Promise<void>
}

/** Records in one call of those clients that take many, and calls under way. */
const RECORDS_AT_ONCE = 500
const CALLS_AT_ONCE = 5

class Measure {
  private startMs = 0
  private startCpu = process.cpuUsage()
  private figures: NodeClientFigures | undefined

  start(): void {
    this.startCpu = process.cpuUsage()
    this.startMs = performance.now()
  }

  end(): void {
    const { user, system } = process.cpuUsage(this.startCpu)
    this.figures = { seconds: (performance.now() - this.startMs) / 1000, cpuSeconds: (user + system) / 1e6 }
  }

  get result(): NodeClientFigures {
    if (this.figures === undefined) throw new Error('nothing was measured')
    return this.figures
  }

  /** Begins with the first record; resolves `done` behind the last. */
  counter(records: number): { readonly add: (count: number) => void; readonly done: Promise<void> } {
    let count = 0
    let resolve = () => {}
    const done = new Promise<void>((r) => {
      resolve = r
    })
    const add = (more: number) => {
      if (count === 0) this.start()
      count += more
      if (count < records) return
      this.end()
      resolve()
    }
    return { add, done }
  }
}

/** As many calls at a time as pay, until all is sent: for clients whose batches are the caller's calls. */
async function inCalls(records: number, send: (count: number) => Promise<unknown>): Promise<void> {
  let left = records
  const sender = async () => {
    while (left > 0) {
      const count = Math.min(left, RECORDS_AT_ONCE)
      left -= count
      await send(count)
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, sender))
}

const SIDES: Record<NodeClientRun['client'], () => Promise<Side>> = {
  async moldau() {
    const { bytes, connect, topic } = await import('../../src/client/client.ts')
    return {
      async produce({ address, topic: name, records, size }, measure) {
        const to = topic(name, { key: bytes(), value: bytes() })
        const producer = connect({ bootstrapServers: address }).producer()
        const value = Buffer.alloc(size, 'x')
        await producer.send(to, { value })
        measure.start()
        await inCalls(records, (count) =>
          producer.sendMany(
            to,
            Array.from({ length: count }, () => ({ value })),
          ),
        )
        measure.end()
      },
      async consume({ address, topic: name, records }, measure) {
        const from = topic(name, { key: bytes(), value: bytes() })
        const consumer = connect({ bootstrapServers: address }).consumer({
          groupId: `m-${name}`,
          topics: from,
          autoOffsetReset: 'earliest',
        })
        const { add, done } = measure.counter(records)
        void consumer.run(() => add(1))
        await done
      },
    }
  },
  async platformatic() {
    const { Consumer, ProduceAcks, Producer } = await import('@platformatic/kafka')
    return {
      async produce({ address, topic, records, size }, measure) {
        const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [address], idempotent: true })
        const value = Buffer.alloc(size, 'x')
        await producer.send({ acks: ProduceAcks.ALL, messages: [{ topic, value }] })
        measure.start()
        const message = () => ({ topic, value })
        await inCalls(records, (count) =>
          producer.send({ acks: ProduceAcks.ALL, messages: Array.from({ length: count }, message) }),
        )
        measure.end()
      },
      async consume({ address, topic, records }, measure) {
        const consumer = new Consumer({ clientId: 'bench', groupId: `p-${topic}`, bootstrapBrokers: [address] })
        const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: 1000, maxWaitTime: 500 })
        const { add, done } = measure.counter(records)
        stream.on('data', () => add(1))
        await done
      },
    }
  },
  async kafkajs() {
    const { Kafka, logLevel } = (await import('kafkajs')).default
    return kafkaJsLike(
      (address) => new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }),
      (kafka) => kafka.producer({ idempotent: true, maxInFlightRequests: 5 }),
      (kafka, groupId) => kafka.consumer({ groupId }),
      true,
    )
  },
  async confluent() {
    const { confluent } = JSON.parse(process.argv[2]!) as NodeClientRun
    const { KafkaJS } = createRequire(`${confluent}/`)('@confluentinc/kafka-javascript')
    return kafkaJsLike(
      (address) => new KafkaJS.Kafka({ kafkaJS: { brokers: [address], logLevel: KafkaJS.logLevel.NOTHING } }),
      (kafka) => kafka.producer({ kafkaJS: { idempotent: true, acks: -1 } }),
      (kafka, groupId) => kafka.consumer({ kafkaJS: { groupId, fromBeginning: true } }),
      false,
    )
  },
}

interface JsProducer {
  connect(): Promise<unknown>
  send(batch: { topic: string; messages: { value: Buffer }[] }): Promise<unknown>
}

interface JsConsumer {
  connect(): Promise<unknown>
  subscribe(topic: { topic: string; fromBeginning?: boolean }): Promise<unknown>
  run(handlers: { eachMessage: () => Promise<void> }): Promise<unknown>
}

/** What KafkaJS and those that imitate it have in common. */
function kafkaJsLike<K>(
  make: (address: string) => K,
  producerOf: (kafka: K) => JsProducer,
  consumerOf: (kafka: K, groupId: string) => JsConsumer,
  beginsInSubscribe: boolean,
): Side {
  return {
    async produce({ address, topic, records, size }, measure) {
      const producer = producerOf(make(address))
      await producer.connect()
      const value = Buffer.alloc(size, 'x')
      await producer.send({ topic, messages: [{ value }] })
      measure.start()
      await inCalls(records, (count) => producer.send({ topic, messages: Array.from({ length: count }, () => ({ value })) }))
      measure.end()
    },
    async consume({ address, topic, records }, measure) {
      const consumer = consumerOf(make(address), `k-${topic}-${process.pid}`)
      await consumer.connect()
      await consumer.subscribe({ topic, ...(beginsInSubscribe ? { fromBeginning: true } : {}) })
      const { add, done } = measure.counter(records)
      await consumer.run({ eachMessage: async () => add(1) })
      await done
    },
  }
}

const run = JSON.parse(process.argv[2]!) as NodeClientRun
const measure = new Measure()
const side = await SIDES[run.client]()
await side[run.kind](run, measure)
console.log(JSON.stringify(measure.result))
process.exit(0)
