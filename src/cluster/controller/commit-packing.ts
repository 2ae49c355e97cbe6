// From the steps of many commands to commits that the store takes: as few as fit, in order, each key written once in each.

import type { Guard, MetadataStore, Op } from '../store/metadata-store.ts'
import type { Step } from './decision.ts'

export interface Commit {
  readonly guards: Guard[]
  readonly ops: Op[]
}

export interface PackedSteps {
  readonly commits: readonly Commit[]
  /** For each step, which of the commits has it. */
  readonly commitOf: readonly number[]
}

/** The controller's own: the sequence that it writes, and the two keys that it compares. */
const OWN_OPS = 1
const OWN_GUARDS = 2
const OWN_BYTES = 1024

/**
 * Keys are relative, as in the steps. A step is never torn apart. Where two steps of one commit write one key, the later one's value
 * stands: the commit is applied as a whole, so nobody could have seen the other. Room is left for a guard of each partition written.
 */
export function packSteps(steps: readonly Step[], limits: MetadataStore['limits']): PackedSteps {
  const commits: Commit[] = []
  const commitOf: number[] = []
  let open: OpenCommit | undefined
  for (const step of steps) {
    if (open?.takes(step, limits) !== true) {
      open = new OpenCommit()
      commits.push(open.commit)
    }
    open.add(step)
    commitOf.push(commits.length - 1)
  }
  return { commits, commitOf }
}

class OpenCommit {
  readonly commit: Commit = { guards: [], ops: [] }
  /** Where in `commit.ops` a key is written. */
  private readonly positions = new Map<string, number>()
  private readonly guarded = new Set<string>()
  private readonly prefixes: string[] = []
  private bytes = 0

  takes({ ops, guards = [] }: Step, limits: MetadataStore['limits']): boolean {
    // A guard is judged before anything of its commit is applied: it cannot be about what the same commit writes.
    if (guards.some(({ key }) => this.positions.has(key) || this.underPrefix(key))) return false
    if (ops.some((op) => this.underPrefix(keyOf(op)) || ('deletePrefix' in op && this.writesBelow(op.deletePrefix)))) return false
    const added = ops.filter((op) => !this.positions.has(keyOf(op)))
    const newGuards = guards.filter((guard) => !this.guarded.has(identityOf(guard))).length
    // A partition is guarded besides being written.
    const writes = this.commit.ops.length + added.length
    return (
      writes + OWN_OPS <= limits.opsPerCommit &&
      writes + this.commit.guards.length + newGuards + OWN_GUARDS <= limits.opsPerCommit &&
      this.bytes + added.reduce((sum, op) => sum + sizeOf(op), 0) + OWN_BYTES <= limits.bytesPerCommit
    )
  }

  add({ ops, guards = [] }: Step): void {
    for (const op of ops) {
      const key = keyOf(op)
      const position = this.positions.get(key)
      this.bytes += sizeOf(op)
      if ('deletePrefix' in op) this.prefixes.push(key)
      if (position !== undefined) this.commit.ops[position] = op
      else this.positions.set(key, this.commit.ops.push(op) - 1)
    }
    for (const guard of guards) {
      const identity = identityOf(guard)
      if (!this.guarded.has(identity)) this.commit.guards.push(guard)
      this.guarded.add(identity)
    }
  }

  private underPrefix(key: string): boolean {
    return this.prefixes.some((prefix) => key.startsWith(prefix))
  }

  private writesBelow(prefix: string): boolean {
    for (const key of this.positions.keys()) if (key.startsWith(prefix)) return true
    return false
  }
}

const keyOf = (op: Op) => ('put' in op ? op.put : 'delete' in op ? op.delete : op.deletePrefix)

/** With room for the cluster's prefix. */
const sizeOf = (op: Op) => keyOf(op).length + 64 + ('put' in op ? op.value.length : 0)

function identityOf(guard: Guard): string {
  if ('created' in guard) return `${guard.key} created ${guard.created}`
  return 'modified' in guard
    ? `${guard.key} modified ${guard.modified}`
    : `${guard.key} value ${Buffer.from(guard.value).toString('base64')}`
}
