// The only writer of the cluster's metadata. Commands are decided in turn against the newest image and those decided before them,
// committed serially, and answered when the image shows what they did. Nothing is answered from what is not committed.

import { KafkaError } from '../../protocol/error-codes.ts'
import type { ImagePublisher } from '../image-publisher.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { keys } from '../metadata-records.ts'
import { type Event, type Guard, type MetadataStore, type Op, OutcomeUnknown, type Revision } from '../store/metadata-store.ts'
import type { Decision, Step } from './decision.ts'

/** How often a commit of unknown outcome is sent again before whoever asked hears of it. */
const RETRIES = 5

/** What was won in the election: every commit is guarded by it. */
export interface Term {
  readonly epoch: number
  /** When `ctl` was made. Another value: another controller. */
  readonly controllerCreated: Revision
}

interface Command {
  readonly decide: (image: MetadataImage) => Decision<unknown>
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

interface Commit {
  readonly guards: Guard[]
  readonly ops: Op[]
}

export class Controller {
  private readonly store: MetadataStore
  private readonly publisher: ImagePublisher
  private readonly prefix: string
  private readonly term: Term
  /** Commits of this term: the next must find this number, and leaves the one above it. */
  private sequence = 0
  private readonly queue: Command[] = []
  private running: Promise<void> | undefined
  private ended: KafkaError | undefined

  constructor(store: MetadataStore, publisher: ImagePublisher, prefix: string, term: Term) {
    this.store = store
    this.publisher = publisher
    this.prefix = prefix
    this.term = term
  }

  /**
   * Decides, commits, and answers once the image has it.
   * @throws {KafkaError} NOT_CONTROLLER, or what `decide` throws @throws {StoreError} @throws {OutcomeUnknown}
   */
  submit<R>(decide: (image: MetadataImage) => Decision<R>): Promise<R> {
    if (this.ended !== undefined) return Promise.reject(this.ended)
    return new Promise<R>((resolve, reject) => {
      this.queue.push({ decide, resolve: resolve as (reply: unknown) => void, reject })
      this.running ??= this.run()
    })
  }

  /** Takes no more commands; those it has are brought to their end. */
  async close(): Promise<void> {
    this.ended ??= new KafkaError('NOT_CONTROLLER', 'the controller is stopping')
    await this.running
  }

  private async run(): Promise<void> {
    // Commands of the same turn of the loop share a commit, and so do those that come while one is under way.
    await Promise.resolve()
    while (this.queue.length > 0) await this.runTogether(this.queue.splice(0))
    // In the same breath as the look at the queue: whoever comes next must find that nobody is at it.
    this.running = undefined
  }

  private async runTogether(commands: readonly Command[]): Promise<void> {
    let image = this.publisher.image
    const steps: Step[] = []
    const replies: (() => void)[] = []
    const decided: Command[] = []
    for (const command of commands) {
      try {
        const decision = command.decide(image)
        image = preview(image, decision.steps)
        steps.push(...decision.steps)
        replies.push(() => command.resolve(decision.reply))
        decided.push(command)
      } catch (error) {
        command.reject(error as Error)
      }
    }
    try {
      let revision: Revision | undefined
      for (const commit of pack(steps, this.store.limits)) revision = await this.commit(commit)
      if (revision !== undefined) await this.publisher.reached(revision)
      for (const reply of replies) reply()
    } catch (error) {
      for (const command of decided) command.reject(error as Error)
    }
  }

  private async commit({ guards, ops }: Commit): Promise<Revision> {
    const { epoch, controllerCreated } = this.term
    const sequenceKey = this.prefix + keys.controllerSequence
    const guarded = [
      { key: this.prefix + keys.controller, created: controllerCreated },
      { key: sequenceKey, value: encodeSequence(epoch, this.sequence) },
      ...guards.map((guard) => ({ ...guard, key: this.prefix + guard.key })),
    ]
    const next = encodeSequence(epoch, this.sequence + 1)
    const all = [{ put: sequenceKey, value: next }, ...ops.map((op) => prefixed(op, this.prefix))]
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await this.store.commit(guarded, all, [sequenceKey])
        // After an unknown outcome the same commit may find that it had been applied.
        const applied = result.ok || (attempt > 1 && result.seen.some((entry) => Buffer.compare(entry.value, next) === 0))
        if (!applied) throw this.depose()
        this.sequence++
        return result.revision
      } catch (error) {
        // Only the identical commit may follow: a different one could be applied besides it.
        if (error instanceof OutcomeUnknown && attempt < RETRIES) continue
        if (error instanceof OutcomeUnknown) this.depose()
        throw error
      }
    }
  }

  private depose(): KafkaError {
    this.ended = new KafkaError('NOT_CONTROLLER', 'another controller has taken over')
    for (const command of this.queue.splice(0)) command.reject(this.ended)
    return this.ended
  }
}

/** `ctl-seq`: the controller's epoch and the count of its commits. */
export function encodeSequence(epoch: number, sequence: number): Buffer {
  return Buffer.from(`${epoch}:${sequence}`)
}

export function decodeEpoch(sequence: Uint8Array): number {
  const epoch = Number(Buffer.from(sequence).toString().split(':')[0])
  if (!Number.isSafeInteger(epoch)) throw new Error('the controller sequence is not a number')
  return epoch
}

/** The image as it will be, for the commands decided next. What a prefix holds stays: without its topic nobody sees it. */
function preview(image: MetadataImage, steps: readonly Step[]): MetadataImage {
  const revision = image.revision
  const events = steps
    .flatMap((step) => step.ops)
    .flatMap((op): Event[] => {
      if ('put' in op) return [{ put: { key: op.put, value: op.value, created: revision, modified: revision, lease: null } }]
      return 'delete' in op ? [{ delete: op.delete }] : []
    })
  return image.apply(revision, events).image
}

/** Steps in order, as many to a commit as it takes. A key is written once in each. */
function pack(steps: readonly Step[], limits: MetadataStore['limits']): Commit[] {
  const commits: Commit[] = []
  let commit: Commit | undefined
  let bytes = 0
  let keysWritten = new Set<string>()
  let prefixes: string[] = []
  for (const { ops, guards = [] } of steps) {
    const size = ops.reduce((sum, op) => sum + sizeOf(op), 0)
    const collides = ops.some((op) => {
      const key = keyOf(op)
      return (
        keysWritten.has(key) ||
        prefixes.some((prefix) => key.startsWith(prefix)) ||
        ('deletePrefix' in op && some(keysWritten, key))
      )
    })
    const full =
      commit !== undefined &&
      // Room for the controller's own op and guards.
      (commit.ops.length + ops.length + 1 > limits.opsPerCommit ||
        commit.guards.length + guards.length + 2 > limits.opsPerCommit ||
        bytes + size + 1024 > limits.bytesPerCommit)
    if (commit === undefined || collides || full) {
      commit = { guards: [], ops: [] }
      commits.push(commit)
      bytes = 0
      keysWritten = new Set()
      prefixes = []
    }
    commit.ops.push(...ops)
    commit.guards.push(...guards)
    bytes += size
    for (const op of ops) {
      if ('deletePrefix' in op) prefixes.push(op.deletePrefix)
      else keysWritten.add(keyOf(op))
    }
  }
  return commits
}

const some = (keysWritten: ReadonlySet<string>, prefix: string) => [...keysWritten].some((key) => key.startsWith(prefix))

const keyOf = (op: Op) => ('put' in op ? op.put : 'delete' in op ? op.delete : op.deletePrefix)

/** With room for the cluster's prefix. */
const sizeOf = (op: Op) => keyOf(op).length + 64 + ('put' in op ? op.value.length : 0)

function prefixed(op: Op, prefix: string): Op {
  if ('put' in op) return { ...op, put: prefix + op.put }
  return 'delete' in op ? { delete: prefix + op.delete } : { deletePrefix: prefix + op.deletePrefix }
}
