// The only writer of the cluster's metadata. Commands are decided in turn against the newest image and those decided before them,
// committed serially, and answered when the image shows what they did. Nothing is answered from what is not committed.

import { type Clock, delay } from '../../host/clock.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { ImagePublisher } from '../image-publisher.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { keys, parseKey } from '../metadata-records.ts'
import { type Event, type Guard, type MetadataStore, type Op, OutcomeUnknown, type Revision } from '../store/metadata-store.ts'
import { type Commit, packSteps } from './commit-packing.ts'
import type { Decision, Step } from './decision.ts'

/** How often a commit of unknown outcome is sent again before whoever asked hears of it. */
const RETRIES = 5
const RETRY_BACKOFF_MS = 50
/** How often a command is decided anew because a broker that its commit relied on was gone. */
const DECISIONS = 10
const REFUSAL_WAIT_MS = 100

/** What was won in the election: every commit is guarded by it. */
export interface Term {
  readonly epoch: number
  /** When `ctl` was made. Another value: another controller. */
  readonly controllerCreated: Revision
}

export interface ControllerOptions {
  readonly store: MetadataStore
  readonly publisher: ImagePublisher
  /** Of the cluster's keys. */
  readonly prefix: string
  readonly term: Term
  /** For pauses between attempts; without it there are none. */
  readonly clock?: Clock
  /** Called once, when another has taken over or the store cannot say who has. */
  readonly onDeposed?: () => void
}

interface Command {
  readonly decide: (image: MetadataImage) => Decision<unknown>
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
  decisions: number
}

interface Decided {
  readonly command: Command
  readonly reply: unknown
  /** How many steps there were up to its last one. */
  readonly end: number
}

/** Undefined: refused, for a broker that it relied on is gone. */
type Applied = Revision | undefined

export class Controller {
  private readonly options: ControllerOptions
  /** Commits of this term: the next must find this number, and leaves the one above it. */
  private sequence = 0
  private queue: Command[] = []
  private running: Promise<void> | undefined
  private ended: KafkaError | undefined

  constructor(options: ControllerOptions) {
    this.options = options
  }

  get epoch(): number {
    return this.options.term.epoch
  }

  /**
   * Decides, commits, and answers once the image has it. `first`: before all that waits, so that what it is given is the image as it
   * was published. A command may be decided more than once.
   * @throws {KafkaError} NOT_CONTROLLER, or what `decide` throws @throws {StoreError} @throws {OutcomeUnknown}
   */
  submit<R>(decide: (image: MetadataImage) => Decision<R>, first = false): Promise<R> {
    if (this.ended !== undefined) return Promise.reject(this.ended)
    return new Promise<R>((resolve, reject) => {
      const command: Command = { decide, resolve: resolve as (reply: unknown) => void, reject, decisions: 0 }
      if (first) this.queue.unshift(command)
      else this.queue.push(command)
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
    const { publisher, store } = this.options
    const { steps, decided } = decideInTurn(publisher.image, commands)
    const { commits, commitOf } = packSteps(steps, store.limits)
    /** Written by this batch so far. */
    const written = new Map<string, Revision>()
    let done = 0
    const answer = (commit: number) => {
      // Nothing is told that rests on what is not committed, so a command without steps waits for those before it.
      while (done < decided.length && (decided[done].end === 0 || commitOf[decided[done].end - 1] <= commit)) {
        const { command, reply } = decided[done++]
        command.resolve(reply)
      }
    }
    try {
      answer(-1)
      for (const [i, commit] of commits.entries()) {
        const revision = await this.commit(commit, written)
        if (revision === undefined) return await this.decideAgain(decided.slice(done))
        // The next commit need not wait for the image, but whoever asked does.
        const shown = publisher.reached(revision)
        if (i === commits.length - 1 || decided.some(({ end }) => end > 0 && commitOf[end - 1] === i)) await shown
        answer(i)
      }
    } catch (error) {
      for (const { command } of decided.slice(done)) command.reject(error as Error)
    }
  }

  /** What is already committed of them stays: each was legal by itself. */
  private async decideAgain(refused: readonly Decided[]): Promise<void> {
    const { publisher, clock } = this.options
    const seen = publisher.reached(this.refusedAt)
    // What the store has done meanwhile may be somebody else's, of which the image hears late or never.
    await (clock === undefined ? seen : Promise.race([seen, delay(clock, REFUSAL_WAIT_MS)]))
    const again: Command[] = []
    for (const { command } of refused) {
      if (++command.decisions < DECISIONS) again.push(command)
      else command.reject(new KafkaError('REQUEST_TIMED_OUT', 'brokers come and go too fast'))
    }
    this.queue = [...again, ...this.queue]
  }

  /** What is known to be in the store since the last commit was refused. */
  private refusedAt: Revision = 0

  private async commit(commit: Commit, written: Map<string, Revision>): Promise<Applied> {
    const { store, prefix, term, clock } = this.options
    const sequenceKey = prefix + keys.controllerSequence
    const controllerKey = prefix + keys.controller
    const own = encodeSequence(term.epoch, this.sequence)
    const next = encodeSequence(term.epoch, this.sequence + 1)
    const guards: Guard[] = [
      { key: controllerKey, created: term.controllerCreated },
      { key: sequenceKey, value: own },
      ...commit.guards.map((guard) => ({ ...guard, key: prefix + guard.key })),
      ...this.partitionGuards(commit, written),
    ]
    const ops: Op[] = [{ put: sequenceKey, value: next }, ...commit.ops.map((op) => prefixed(op, prefix))]
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await store.commit(guards, ops, [sequenceKey, controllerKey])
        let revision: Revision = result.revision
        if (!result.ok) {
          const sequence = result.seen.find(({ key }) => key === sequenceKey)
          const controller = result.seen.find(({ key }) => key === controllerKey)
          const finds = (value: Buffer) => sequence !== undefined && Buffer.compare(sequence.value, value) === 0
          // After an unknown outcome the same commit may find that it had been applied.
          const applied = attempt > 1 && finds(next)
          if (!applied && finds(own) && controller?.created === term.controllerCreated) {
            this.refusedAt = result.revision
            return undefined
          }
          if (!applied) throw this.depose()
          revision = sequence!.modified
        }
        this.sequence++
        for (const op of commit.ops) if ('put' in op) written.set(op.put, revision)
        return revision
      } catch (error) {
        // Only the identical commit may follow: a different one could be applied besides it.
        if (error instanceof OutcomeUnknown && attempt < RETRIES) {
          if (clock !== undefined) await delay(clock, RETRY_BACKOFF_MS * 2 ** attempt)
          continue
        }
        if (error instanceof OutcomeUnknown) this.depose()
        throw error
      }
    }
  }

  /** Nobody else writes partitions. Should we ever be wrong about how one is, the commit is refused rather than applied. */
  private partitionGuards({ ops }: Commit, written: ReadonlyMap<string, Revision>): Guard[] {
    const { publisher, prefix } = this.options
    return ops.flatMap((op): Guard[] => {
      if (!('put' in op)) return []
      const key = parseKey(op.put)
      if (key.kind !== 'partition') return []
      return [
        { key: prefix + op.put, modified: written.get(op.put) ?? publisher.image.partitionModified(key.topicId, key.index) },
      ]
    })
  }

  private depose(): KafkaError {
    this.ended = new KafkaError('NOT_CONTROLLER', 'another controller has taken over')
    for (const command of this.queue.splice(0)) command.reject(this.ended)
    this.options.onDeposed?.()
    return this.ended
  }
}

/** `ctl-seq`: the controller's epoch and the count of its commits. */
export function encodeSequence(epoch: number, sequence: number): Buffer {
  return Buffer.from(`${epoch}:${sequence}`)
}

export function decodeEpoch(sequence: Uint8Array | string): number {
  const epoch = Number(Buffer.from(sequence).toString().split(':')[0])
  if (!Number.isSafeInteger(epoch)) throw new Error('the controller sequence is not a number')
  return epoch
}

/** Each command sees what those before it come to. One that fails is answered at once. */
function decideInTurn(image: MetadataImage, commands: readonly Command[]): { steps: Step[]; decided: Decided[] } {
  let seen = image
  const steps: Step[] = []
  const decided: Decided[] = []
  for (const command of commands) {
    try {
      const decision = command.decide(seen)
      if (decision.steps.length > 0) seen = preview(seen, decision.steps)
      steps.push(...decision.steps)
      decided.push({ command, reply: decision.reply, end: steps.length })
    } catch (error) {
      command.reject(error as Error)
    }
  }
  return { steps, decided }
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

function prefixed(op: Op, prefix: string): Op {
  if ('put' in op) return { ...op, put: prefix + op.put }
  return 'delete' in op ? { delete: prefix + op.delete } : { deletePrefix: prefix + op.deletePrefix }
}
