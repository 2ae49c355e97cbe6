// A broker as the benchmark sees it: a process that can be started and stopped, and what its acknowledgements are worth.

export type Protocol = 'kafka' | 'nats' | 'redis' | 'raw'
export type Acks = '1' | 'all'

/**
 * What an acknowledged record survives. `written`: the death of the broker's process, for the operating system has it. `synced`: power
 * loss too, for it has been flushed to the disk. Only equal promises are compared.
 */
export type Worth = 'written' | 'synced'

export interface BrokerKind {
  /** As `--brokers` names it. */
  readonly name: string
  /** As tables and charts do. */
  readonly title: string
  readonly protocol: Protocol
  readonly worth: Readonly<Record<Acks, Worth>>
  /** Kafka's command line programs send a fixed number of records: this share of it is enough for a broker that takes far longer. */
  readonly share?: number
  /** Fetches what it needs. Resolves with its version, rejects with why it cannot run here. */
  prepare(): Promise<string>
  /** On a free port unless one is given, on a fresh directory below `parent`. */
  start(options: StartOptions): Promise<RunningBroker>
}

export interface StartOptions {
  readonly parent: string
  readonly port?: number
  /** Where a profile of its processor time goes when it stops: ours only. */
  readonly profileDirectory?: string
}

export interface RunningBroker {
  readonly address: string
  readonly pid: number
  readonly directory: string
  /** When the process was started, on the clock of `performance.now()`. */
  readonly spawnedMs: number
  /** Ends the process and removes its data. */
  stop(): Promise<void>
}
