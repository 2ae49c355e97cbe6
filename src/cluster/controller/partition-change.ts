// The rules by which a partition changes: its ISR and ELR (KIP-966), who leads it, what a reassignment adds and removes, and the
// epochs that tell of it. One function for all, pure: whoever decides on a change says what it wants, and gets the partition as
// it then is.

import { NO_LEADER, type PartitionRecord, UNASSIGNED_DIRECTORY } from '../metadata-records.ts'

/** What is to be other than it is. What is left out stays. */
export interface PartitionTargets {
  readonly isr?: readonly number[]
  readonly replicas?: readonly number[]
  readonly adding?: readonly number[]
  readonly removing?: readonly number[]
  readonly directories?: readonly string[]
  /** Only ever taken back; an election that may lose records sets it. */
  readonly recovering?: boolean
}

/** `online`: only where the present leader cannot go on. `preferred`: the first replica, if it can. `unclean`: anybody, rather than nobody. */
export type Election = 'online' | 'preferred' | 'unclean'

export interface PartitionRules {
  /** The topic's min.insync.replicas. */
  readonly minIsr: number
  /** Unfenced, not stopping, and not just being taken out. */
  readonly mayLead: (brokerId: number) => boolean
  readonly election: Election
  /** May lack what it once had acknowledged: its last stop was unclean. */
  readonly unclean?: (brokerId: number) => boolean
}

/** As many in-sync replicas as a partition must have to take acks=all: more than there are replicas cannot be asked for. */
export function effectiveMinIsr(minIsr: number, replicas: readonly number[]): number {
  return Math.min(minIsr, replicas.length)
}

/** The partition after a change; the same object where nothing is other than before. */
export function changePartition(before: PartitionRecord, targets: PartitionTargets, rules: PartitionRules): PartitionRecord {
  const members = completeReassignment(
    {
      isr: targets.isr ?? before.isr,
      replicas: targets.replicas ?? before.replicas,
      adding: targets.adding ?? before.adding,
      removing: targets.removing ?? before.removing,
    },
    rules,
  )
  const { replicas } = members
  const candidates = { isr: members.isr, elr: eligibleReplicas(before, members, rules), replicas }
  const elected = elect(before, candidates, rules)
  const leads = elected.leader !== NO_LEADER
  const isr = elected.isr ?? candidates.isr
  // Whoever was elected without having everything sets the truth: what others have beyond it does not count any more.
  const nobodyElse = elected.unclean || isr.length >= effectiveMinIsr(rules.minIsr, replicas)
  const after: PartitionRecord = {
    ...before,
    ...members,
    isr,
    elr: nobodyElse ? [] : candidates.elr.filter((id) => !isr.includes(id)),
    leader: elected.leader,
    lastKnownLeader: leads ? NO_LEADER : lastLeader(before, replicas),
    recovering: elected.unclean || (before.recovering && targets.recovering !== false),
    directories: directoriesOf(before, targets, replicas),
  }
  const removed = before.replicas.some((id) => !replicas.includes(id))
  if (after.leader === before.leader && !elected.unclean && !removed && sameState(after, before)) return before
  // A removed replica must not go on fetching, so the leader that still knows it begins anew, too.
  const newEpoch = after.leader !== before.leader || elected.unclean || removed
  return { ...after, leaderEpoch: before.leaderEpoch + (newEpoch ? 1 : 0), partitionEpoch: before.partitionEpoch + 1 }
}

/** Each replica's stays with it; a partition of which nobody has said anything goes without. */
function directoriesOf(
  before: PartitionRecord,
  { directories = before.directories }: PartitionTargets,
  replicas: readonly number[],
) {
  if (sameOrder(replicas, before.replicas)) return directories
  const kept = replicas.map((id) => directories[before.replicas.indexOf(id)] ?? UNASSIGNED_DIRECTORY)
  return kept.every((directory) => directory === UNASSIGNED_DIRECTORY) ? [] : kept
}

type Members = Pick<PartitionRecord, 'isr' | 'replicas' | 'adding' | 'removing'>

/** Once all whom it wants are in sync, a reassignment ends: the others go, in the same change. */
function completeReassignment(members: Members, { minIsr }: PartitionRules): Members {
  const { isr, replicas, adding, removing } = members
  if (adding.length === 0 && removing.length === 0) return members
  const wanted = replicas.filter((id) => !removing.includes(id))
  const left = isr.filter((id) => wanted.includes(id))
  const complete = adding.every((id) => left.includes(id)) && left.length > 0 && left.length >= effectiveMinIsr(minIsr, wanted)
  return wanted.length > 0 && complete ? { isr: left, replicas: wanted, adding: [], removing: [] } : members
}

/** KIP-966: whoever left the ISR while it was too small for anything to be acknowledged still has everything. */
function eligibleReplicas(before: PartitionRecord, { isr, replicas }: Members, { minIsr, unclean }: PartitionRules): number[] {
  if (isr.length >= effectiveMinIsr(minIsr, replicas)) return []
  const eligible = new Set([...before.elr, ...before.isr])
  return replicas.filter((id) => eligible.has(id) && !isr.includes(id) && unclean?.(id) !== true)
}

type Candidates = Pick<PartitionRecord, 'isr' | 'elr' | 'replicas'>

interface Elected {
  readonly leader: number
  /** Where it is no longer the one that was asked for. */
  readonly isr?: readonly number[]
  /** It may lack records that were acknowledged. */
  readonly unclean: boolean
}

function elect(before: PartitionRecord, candidates: Candidates, { mayLead, election }: PartitionRules): Elected {
  const { isr, elr, replicas } = candidates
  const valid = (id: number) => mayLead(id) && (isr.length > 0 ? isr.includes(id) : elr.includes(id))
  const inOrder = election === 'preferred' ? [replicas[0], before.leader, ...replicas] : [before.leader, ...replicas]
  const clean = inOrder.find((id) => id !== NO_LEADER && replicas.includes(id) && valid(id))
  if (clean !== undefined) return { leader: clean, isr: isr.length > 0 ? undefined : [clean], unclean: false }
  // Nobody is known to have everything. The last leader had more than anybody else.
  const nobodyIsSure = isr.length === 0 && elr.length === 0
  const last = lastLeader(before, replicas)
  if (nobodyIsSure && last !== NO_LEADER && mayLead(last)) return { leader: last, isr: [last], unclean: true }
  const anybody = election === 'unclean' ? replicas.find((id) => mayLead(id)) : undefined
  if (anybody !== undefined) return { leader: anybody, isr: [anybody], unclean: true }
  return { leader: NO_LEADER, unclean: false }
}

function lastLeader({ leader, lastKnownLeader }: PartitionRecord, replicas: readonly number[]): number {
  const last = leader === NO_LEADER ? lastKnownLeader : leader
  return replicas.includes(last) ? last : NO_LEADER
}

function sameState(a: PartitionRecord, b: PartitionRecord): boolean {
  return (
    sameOrder(a.isr, b.isr) &&
    sameMembers(a.elr, b.elr) &&
    sameOrder(a.replicas, b.replicas) &&
    sameMembers(a.adding, b.adding) &&
    sameMembers(a.removing, b.removing) &&
    sameOrder(a.directories, b.directories) &&
    a.recovering === b.recovering &&
    a.lastKnownLeader === b.lastKnownLeader
  )
}

const sameOrder = <T>(a: readonly T[], b: readonly T[]) => a.length === b.length && a.every((id, i) => id === b[i])
const sameMembers = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((id) => b.includes(id))
