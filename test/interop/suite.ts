// What an interop entry is: a broker profile and cases that run against any broker. scripts/interop.ts runs them.

/** A running broker, Apache Kafka or ours. */
export interface Target {
  readonly name: 'kafka' | 'moldau'
  readonly bootstrapServers: string
  readonly port: number
  /** Where the broker keeps its partitions' directories. */
  readonly logDirectory: string
  /** SIGKILL, unless told to be kinder; resolves when it serves again, from the same data at the same address. */
  crash(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

export interface CaseResult {
  readonly name: string
  readonly outcome: 'pass' | 'fail' | 'skip'
  /** Why it failed or was skipped. */
  readonly detail?: string
  /** What it saw, without what differs from run to run; has to be what Apache Kafka showed when it was recorded. */
  readonly transcript?: string
}

export interface Suite {
  /** Broker configuration that this suite expects, in Kafka's keys: the same for both brokers. */
  readonly config: Readonly<Record<string, string>>
  /** Fetches and builds what it needs into the cache directory, once; rejects saying what the machine lacks. */
  prepare?(): Promise<void>
  /** Runs the cases whose names `only` matches. A case that fails does not end the run. */
  run(target: Target, only: RegExp): AsyncIterable<CaseResult>
}

/** A case of our own: resolves, with a transcript if the whole output is to be compared, or rejects. */
export type Case = (target: Target) => Promise<string | undefined>

/** Runs cases of our own one after another. */
export function runCases(cases: Readonly<Record<string, Case>>): Suite['run'] {
  return async function* (target, only) {
    for (const [name, run] of Object.entries(cases)) {
      if (!only.test(name)) continue
      yield await run(target).then(
        (transcript): CaseResult => ({
          name,
          outcome: 'pass',
          ...(transcript !== undefined && { transcript: normalise(transcript, target) }),
        }),
        (error): CaseResult => ({ name, outcome: 'fail', detail: error instanceof Error ? error.message : String(error) }),
      )
    }
  }
}

/** Takes out of a text what differs between two runs of the same commands: ids, ports, paths, times. */
export function normalise(text: string, { port, logDirectory }: Target): string {
  return text
    .replaceAll(logDirectory, 'LOG-DIRECTORY')
    .replaceAll(String(port), 'PORT')
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'UUID')
    .replace(/(TopicId: |Cluster ID: )\S{22}/g, '$1ID')
    .replace(/\b1[789]\d{11}\b/g, 'TIMESTAMP')
    .replace(/[ \t]+$/gm, '')
    .trim()
}
