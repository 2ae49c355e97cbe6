// Holds a log against its model: by every way of reading it, at a moment when nothing is under way.

import type { PartitionLog } from '../log/partition-log.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { batchSize, lastOffset } from '../protocol/records/batch-header.ts'
import { checkBatch } from '../protocol/records/record-batch.ts'
import { compactionProblem, derivationProblem, uncleanliness } from './compaction-audit.ts'
import { batchFrom, type LogModel, type ModelBatch, newestRecord, offsetForTimestamp, type Sequence } from './log-model.ts'
import type { Dice } from './simulation.ts'

/** A log has broken a promise. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

export function demand(condition: boolean, sentence: () => string): asserts condition {
  if (!condition) throw new Violation(sentence())
}

/** All that the log serves from its start on, batch by batch, read in pieces of `maxBytes`. */
export async function readLog(log: PartitionLog, maxBytes: number, from = log.logStartOffset): Promise<Buffer[]> {
  const batches: Buffer[] = []
  const end = log.endOffset
  for (let next = from; next < end; ) {
    const { chunks, size, leases } = await log.read(next, { maxBytes, limitOffset: end, atLeastOneBatch: true })
    // Nothing there: whoever compares knows whether there should be.
    if (size === 0) break
    for (const batch of split(log.name, chunks)) {
      demand(lastOffset(batch) >= next, () => `${log.name}: asked for ${next}, got a batch that ends at ${lastOffset(batch)}`)
      next = lastOffset(batch) + 1n
      batches.push(Buffer.from(batch))
    }
    // Memory that is used again too early shows in what is read next.
    for (const lease of leases) lease.release()
  }
  return batches
}

/** Each of the batches that were served, which must be whole and sound. */
export function split(name: string, chunks: readonly Buffer[]): Buffer[] {
  const batches: Buffer[] = []
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += batchSize(chunk, at)) {
      const problem = checkBatch(chunk, at)
      demand(problem === undefined, () => `${name}: what is served is not sound: ${problem?.message}`)
      batches.push(chunk.subarray(at, at + batchSize(chunk, at)))
    }
  }
  return batches
}

export function sameBatches(name: string, found: readonly Buffer[], expected: Sequence): string | undefined {
  for (const [i, batch] of expected.entries()) {
    if (found[i] === undefined)
      return `${name}: the batch at ${batch.base} is missing; ${found.length} of ${expected.length} are there`
    if (!found[i].equals(batch.bytes))
      return `${name}: at ${batch.base} stands ${describe(found[i])}, not what was appended there`
  }
  return found.length > expected.length
    ? `${name}: ${describe(found[expected.length])} is there, which nobody appended`
    : undefined
}

const describe = (batch: Buffer) => `a batch from ${batch.readBigInt64BE(0)} to ${lastOffset(batch)}`

/** Why `found` is not what the log must hold of `expected`, a stretch of `whole`; undefined if it is. */
function holdingProblem(model: LogModel, found: readonly Buffer[], expected: Sequence, whole: Sequence): string | undefined {
  if (model.compactedBelow === 0n) return sameBatches(model.name, found, expected)
  return compactionProblem(model, found, expected, whole)
}

/** Why a read cannot have found this: the first of `candidates`, one after the other, but for what compaction has taken. */
export function runProblem(model: LogModel, found: readonly Buffer[], candidates: Sequence): string | undefined {
  if (model.compactedBelow === 0n) return sameBatches(model.name, found, candidates.slice(0, found.length))
  return derivationProblem(model, found, candidates)
}

/**
 * What a log has come back with, held against what may have become of it. Its model then says what it has been, and what is left
 * of that is returned.
 */
export async function auditRecovery(log: PartitionLog, model: LogModel, retains: boolean, dice: Dice): Promise<Sequence> {
  const { name } = log
  demand(log.failed === undefined, () => `${name} is not served: ${log.failed?.message}`)
  demand(log.topicId === model.topicId, () => `${name} has the topic id ${log.topicId}, not ${model.topicId}`)
  const { logStartOffset: start, endOffset: end } = log
  demand(end >= model.written || model.emptying, () => `${name} ends at ${end}: ${model.written} was confirmed`)
  demand(start <= end, () => `${name} starts at ${start} and ends at ${end}`)
  const startsRight = start >= model.start || start === end || model.emptying
  demand(startsRight, () => `${name} starts at ${start}: all below ${model.start} had been deleted`)
  const found = await readLog(log, 200 + dice.below(4000))
  const problems: string[] = []
  for (const sequence of [model.batches, model.other]) {
    if (sequence === undefined) continue
    const kept = sequence.filter(({ last }) => last < end)
    const keptEnd = kept.at(-1) === undefined ? 0n : kept.at(-1)!.last + 1n
    const startsAt = model.visible(start, kept)
    const problem =
      (end < keptEnd || end > model.endLimit(sequence, kept)) && start !== end
        ? `${name} ends at ${end}, where no batch ends`
        : (holdingProblem(model, found, startsAt, kept) ?? startProblem(model, sequence, start, end, retains))
    if (problem === undefined) {
      model.adopt(kept, start, end)
      return found.map(batchFrom)
    }
    problems.push(problem)
  }
  throw new Violation(problems.join('; and if it was not cut: '))
}

function startProblem(model: LogModel, sequence: Sequence, start: bigint, end: bigint, retains: boolean): string | undefined {
  // An empty log may start anywhere it was ever cut to.
  if (start <= model.startLimit || start === end || model.emptying) return undefined
  if (!retains) return `${model.name} starts at ${start}: nothing above ${model.startLimit} was to be deleted`
  const within = sequence.some(({ base, last }) => base < start && last >= start)
  return !within ? undefined : `${model.name} starts at ${start}, within a batch`
}

/** Nothing is under way: the log is what its model says, whichever way it is asked. Returns what it holds. */
export async function auditLog(log: PartitionLog, model: LogModel, nowMs: number, dice: Dice): Promise<Sequence> {
  const { name, logStartOffset: start, endOffset: end } = log
  demand(end === model.end, () => `${name} ends at ${end}, not at ${model.end}`)
  const found = await readLog(log, 200 + dice.below(4000))
  const problem = holdingProblem(model, found, model.visible(start), model.batches)
  demand(problem === undefined, () => problem!)
  const held = found.map(batchFrom)
  await auditDerived(log, model, held, nowMs, dice)
  return held
}

/** What comes from indexes, caches and snapshots agrees with a log that holds what it should hold. */
export async function auditDerived(log: PartitionLog, model: LogModel, held: Sequence, nowMs: number, dice: Dice): Promise<void> {
  await auditReads(log, model, held, dice)
  await auditTimes(log, held, nowMs, dice)
  await auditIndexes(log, held, dice)
  if (model.compactedBelow > 0n) await auditSegments(log)
  auditEpochs(log, model, held)
  auditProducers(log, model)
  const unclean = uncleanliness(model, held, log.logStartOffset, log.cleanedOffset)
  demand(unclean === undefined, () => unclean!)
}

/** Each producer stands where its last batch has left it. */
function auditProducers(log: PartitionLog, model: LogModel): void {
  const { name } = log
  const known = new Map(log.activeProducers().map((producer) => [producer.producerId, producer]))
  const expected = model.producers()
  for (const id of known.keys()) demand(model.writers.has(id), () => `${name} knows a producer ${id}, which has written nothing`)
  for (const [id, producer] of expected) {
    if (!model.mustKnow(producer, log.logStartOffset)) continue
    const found = known.get(id)
    demand(found !== undefined, () => `${name} has forgotten producer ${id}`)
    const last = producer.batches.at(-1)?.last ?? -1
    const right = found.producerEpoch === producer.epoch && found.lastSequence === last
    demand(
      right,
      () =>
        `${name}: producer ${id} is at ${last} in epoch ${producer.epoch}, not at ${found.lastSequence} in ${found.producerEpoch}`,
    )
  }
}

async function auditReads(log: PartitionLog, model: LogModel, visible: Sequence, dice: Dice): Promise<void> {
  const start = log.logStartOffset
  for (let i = 0; i < 3; i++) {
    const from = start + BigInt(dice.below(Number(model.end - start) + 1))
    const limitOffset = start + BigInt(dice.below(Number(model.end - start) + 2))
    const maxBytes = dice.below(3000)
    const atLeastOneBatch = dice.chance(0.5)
    const { chunks, size } = await log.read(from, { maxBytes, limitOffset, atLeastOneBatch })
    const candidates = visible.filter(({ last }) => last >= from && last < limitOffset)
    const found = split(log.name, chunks)
    const problem = sameBatches(log.name, found, candidates.slice(0, found.length))
    demand(problem === undefined, () => `read from ${from} up to ${limitOffset}: ${problem}`)
    demand(size <= maxBytes || (found.length === 1 && atLeastOneBatch), () => `${log.name}: ${size} bytes, ${maxBytes} asked for`)
    const progress = !atLeastOneBatch || candidates.length === 0 || from >= limitOffset || size > 0
    demand(progress, () => `${log.name}: a read from ${from} up to ${limitOffset} returns nothing`)
  }
}

async function auditTimes(log: PartitionLog, held: Sequence, nowMs: number, dice: Dice): Promise<void> {
  const { name, logStartOffset: start, writtenOffset: limit } = log
  const timestamp = BigInt(nowMs - 2500 + dice.below(5000))
  const found = await log.offsetForTimestamp(timestamp, limit)
  const expected = offsetForTimestamp(held, timestamp, start, limit)
  demand(
    found?.offset === expected,
    () => `${name}: the first record from ${timestamp} on is at ${expected}, not at ${found?.offset}`,
  )
  const newest = await log.offsetOfMaxTimestamp(limit)
  const record = newestRecord(held, start, limit)
  demand(newest?.offset === record?.offset, () => `${name}: the newest record is at ${record?.offset}, not at ${newest?.offset}`)
}

/** No two segments hold the same offsets: what was replaced would come back with the next compaction. */
async function auditSegments({ name, segments }: PartitionLog): Promise<void> {
  for (const [i, segment] of segments.slice(0, -1).entries()) {
    const batches = await segment.read(0, segment.writtenSize)
    let end = segment.baseOffset
    for (let at = 0; at < batches.length; at += batchSize(batches, at)) end = lastOffset(batches, at) + 1n
    const next = segments[i + 1].baseOffset
    demand(
      end <= next,
      () => `${name}: the segment at ${segment.baseOffset} goes on to ${end}, beyond the start of the next one at ${next}`,
    )
  }
}

/** What the indexes point to are batches, in front of what is looked for. */
async function auditIndexes(log: PartitionLog, visible: Sequence, dice: Dice): Promise<void> {
  if (visible.length === 0) return
  const batch = dice.pick(visible)
  const segment = log.segments.findLast(({ baseOffset }) => baseOffset <= batch.base)
  demand(segment !== undefined, () => `${log.name}: no segment holds ${batch.base}`)
  const position = await segment.positionBelow(batch.base)
  demand(
    position < segment.size,
    () => `${log.name}: the index sends ${batch.base} to ${position}, behind the end of the segment`,
  )
  const header = await segment.read(position, 61)
  const size = batchSize(header)
  const problem = checkBatch(await segment.read(position, size))
  demand(problem === undefined, () => `${log.name}: the index sends ${batch.base} to ${position}, where no batch begins`)
  demand(header.readBigInt64BE(0) <= batch.base, () => `${log.name}: the index sends ${batch.base} to ${position}, behind it`)
}

function auditEpochs(log: PartitionLog, model: LogModel, visible: Sequence): void {
  const { name, logStartOffset: start } = log
  let previous = -1
  for (const { base, epoch } of visible) {
    const offset = base > start ? base : start
    const known = log.epochOfOffset(offset)
    demand(known === epoch, () => `${name}: ${offset} was written in epoch ${epoch}, not ${known}`)
    if (epoch === previous) continue
    previous = epoch
    const found = log.endOffsetForEpoch(epoch)?.endOffset
    const [earliest, latest] = model.endOfEpoch(epoch)
    demand(
      found !== undefined && found >= earliest && found <= latest,
      () => `${name}: epoch ${epoch} ended at ${earliest} to ${latest}, not at ${found}`,
    )
  }
}

/** Where a sealed batch was damaged. */
export interface Flip {
  readonly file: string
  readonly position: number
  readonly batch: ModelBatch
  /** The damage is in the batch's length, or number of offsets: what comes next in the file seems to be elsewhere. */
  readonly misleads: boolean
}

/** A log with a damaged batch serves what it has but for that. Returns whether it was refused to a reader. */
export async function auditDamaged(log: PartitionLog, model: LogModel, flip: Flip): Promise<boolean> {
  if (log.failed !== undefined) return true
  let refused = false
  for (const { base, bytes } of model.visible(log.logStartOffset)) {
    const from = base > log.logStartOffset ? base : log.logStartOffset
    try {
      const { chunks } = await log.read(from, { maxBytes: 1, limitOffset: log.endOffset, atLeastOneBatch: true })
      const [found] = split(log.name, chunks)
      demand(found?.equals(bytes), () => `${log.name}: a read from ${from} gives something else than was appended there`)
      demand(base !== flip.batch.base, () => `${log.name}: the damaged batch at ${base} is served`)
    } catch (error) {
      if (!(error instanceof KafkaError) || error.code !== 'CORRUPT_MESSAGE') throw error
      demand(base === flip.batch.base || (flip.misleads && base > flip.batch.base), () => `${log.name}: ${base} is not damaged`)
      if (base === flip.batch.base) refused = true
    }
  }
  return refused
}
