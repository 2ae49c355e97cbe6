// What is written to the logs of a history: by producers with and without ids, in transactions and not, by coordinators, and by a
// leader that this broker follows. Each append is judged by the model first.

import { CompressionCodec } from '../bytes/compression/codecs.ts'
import type { AppendOptions, AppendResult } from '../log/log-types.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import { type BatchOptions, RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { batchSize, stampOffsetAndEpoch } from '../protocol/records/batch-header.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { demand } from './log-audit.ts'
import type { LogModel, Verdict } from './log-model.ts'
import { LogTrial } from './log-trial.ts'

/** Few, so that they meet again. */
const KEYS = Array.from({ length: 5 }, (_, i) => Buffer.from(`key-${i}`))

interface Producer {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
}

const NO_PRODUCER: Producer = { producerId: -1n, producerEpoch: -1, baseSequence: -1 }

export class LogWriting extends LogTrial {
  /** Of the next write in a transaction. */
  private nextEpoch = 0

  protected append(log: PartitionLog, model: LogModel): void {
    const { dice } = this
    const count = 1 + dice.below(dice.chance(0.1) ? 20 : 4)
    if (this.setup.transactions && dice.chance(0.5)) return this.transact(log, model, count)
    if (this.setup.copies && dice.chance(0.5)) return this.copy(log, model)
    if (dice.chance(0.1)) return this.coordinate(log, model)
    if (dice.chance(0.4)) return this.produce(log, model, count, NO_PRODUCER)
    const producerId = BigInt(dice.below(3))
    const known = model.producers().get(producerId)
    const newest = known?.batches.at(-1)
    const again = known && dice.pick(known.batches)
    // Mostly what comes next; sometimes an old batch again, a gap, or another epoch.
    const sort = dice.below(10)
    const producerEpoch = Math.max(0, (known?.epoch ?? 0) + (sort === 0 ? 1 : sort === 1 ? -1 : 0))
    const repeats = (sort === 2 || sort === 3) && again !== undefined
    const next = newest === undefined ? dice.below(3) : newest.last + 1
    const baseSequence = repeats ? again.first : sort === 0 ? dice.below(2) : sort === 4 ? next + 2 : next
    const size = repeats ? again.last - again.first + 1 : count
    this.produce(log, model, size, { producerId, producerEpoch, baseSequence })
  }

  /** Writes in a transaction, or ends one. Each time in a new epoch: that is always right, and is not what this is about. */
  private transact(log: PartitionLog, model: LogModel, count: number): void {
    const { dice } = this
    const producer = { producerId: 10n + BigInt(dice.below(3)), producerEpoch: this.nextEpoch++ }
    const ends = dice.chance(0.4)
    const result = dice.chance(0.5) ? 'commit' : 'abort'
    const batch = ends
      ? endTransactionMarker({ ...producer, result, coordinatorEpoch: 0, timestamp: BigInt(this.clock.wallMs()) })
      : this.batch(log, count, { ...producer, baseSequence: 0, transactional: true }, this.anyKey)
    const origin = ends ? 'coordinator' : 'client'
    const appended = this.tryAppend(log, batch, { origin, leaderEpoch: model.epoch })
    if (appended === undefined) return
    this.note(
      `${ends ? result : 'write'} by ${producer.producerId} ${log.name} ${appended.firstOffset} to ${appended.lastOffset}`,
    )
    this.place(log, model, batch, appended.firstOffset, ends ? -1n : appended.logAppendTimeMs)
    this.tally.count(ends ? 'markers' : 'batches in transactions')
  }

  /** Some batches at once, as a group's coordinator writes them. */
  private coordinate(log: PartitionLog, model: LogModel): void {
    const batches = Array.from({ length: 1 + this.dice.below(3) }, () => this.batch(log, 1, {}, this.anyKey, 3))
    const appended = this.tryAppend(log, Buffer.concat(batches), { origin: 'coordinator', leaderEpoch: model.epoch })
    if (appended === undefined) return
    this.note(`coordinator ${log.name} ${appended.firstOffset} to ${appended.lastOffset}`)
    for (const [i, batch] of batches.entries()) {
      this.place(log, model, batch, appended.firstOffset + BigInt(i), appended.logAppendTimeMs)
    }
    this.tally.count('batches of coordinators', batches.length)
  }

  /** Some batches at once, as a follower gets them: at their offsets, in their epochs, with holes that compaction has left. */
  private copy(log: PartitionLog, model: LogModel): void {
    const { dice } = this
    const batches: Buffer[] = []
    let { epoch, end } = model
    for (let i = dice.below(3); i >= 0; i--) {
      if (dice.chance(0.3)) end += BigInt(dice.below(8))
      if (dice.chance(0.1)) epoch++
      const count = 1 + dice.below(4)
      const batch = this.batch(log, count, {}, this.anyKey, 3)
      stampOffsetAndEpoch(batch, 0, end, epoch)
      batches.push(batch)
      end += BigInt(count)
    }
    const appended = this.tryAppend(log, Buffer.concat(batches), { origin: 'replica', leaderEpoch: -1 })
    if (appended === undefined) return
    this.note(`copy to ${log.name} ${appended.firstOffset} to ${appended.lastOffset}`)
    demand(log.endOffset === end, () => `${log.name} ends at ${log.endOffset}: what was copied there ends at ${end}`)
    for (const batch of batches) model.copy(batch)
    model.epoch = epoch
    this.tally.count('batches copied from a leader', batches.length)
  }

  /** Undefined where the disk does not take it. */
  private tryAppend(log: PartitionLog, bytes: Buffer, options: AppendOptions): AppendResult | undefined {
    try {
      return log.append(Buffer.from(bytes), options)
    } catch (error) {
      if (!(error instanceof KafkaError) || error.code !== 'KAFKA_STORAGE_ERROR') throw error
      this.excuse(`append to ${log.name}`, error, log.directory)
      return undefined
    }
  }

  private place(log: PartitionLog, model: LogModel, batch: Buffer, offset: bigint, logAppendTimeMs: bigint): void {
    demand(offset === model.end, () => `${log.name}: appended at ${offset}, the log ended at ${model.end}`)
    model.append(batch, offset, logAppendTimeMs)
  }

  private produce(log: PartitionLog, model: LogModel, count: number, producer: Producer): void {
    const { producerId, producerEpoch, baseSequence } = producer
    const withoutKey = this.dice.chance(log.config.compacts ? 0.03 : 0.3)
    const batch = this.batch(log, count, producer, withoutKey ? () => null : this.anyKey)
    const verdict = this.judge(log, model, count, producer, withoutKey)
    const sentence = () =>
      `${log.name}: producer ${producerId} epoch ${producerEpoch} sequences ${baseSequence} to ${baseSequence + count - 1}`
    try {
      const sent = Buffer.from(batch)
      const { firstOffset, lastOffset, duplicate, logAppendTimeMs } = log.append(sent, {
        origin: 'client',
        leaderEpoch: model.epoch,
      })
      this.note(`append ${log.name} ${firstOffset} to ${lastOffset}${duplicate ? ' (again)' : ''}, ${batchSize(batch)} bytes`)
      if (duplicate) {
        const original = typeof verdict === 'object' ? verdict.duplicateOf : undefined
        const right = original?.base === firstOffset && original.last === lastOffset
        demand(
          right || verdict === 'unsure',
          () => `${sentence()} is called a duplicate of ${firstOffset} to ${lastOffset}: ${describe(verdict)} was due`,
        )
        return this.tally.count('duplicates')
      }
      const appends = verdict === 'append' || verdict === 'unsure' || (typeof verdict === 'object' && verdict.forgotten)
      demand(appends, () => `${sentence()} is appended at ${firstOffset}: ${describe(verdict)} was due`)
      this.place(log, model, batch, firstOffset, logAppendTimeMs)
      this.tally.count('batches produced')
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      this.note(`append ${log.name}: ${error.message}`)
      if (error.code === 'KAFKA_STORAGE_ERROR') return this.excuse(`append to ${log.name}`, error, log.directory)
      const right = error.code === verdict || verdict === 'unsure' || (typeof verdict === 'object' && verdict.forgotten)
      demand(right, () => `${sentence()} is refused with ${error.code}: ${describe(verdict)} was due`)
      this.tally.count('appends refused')
    }
  }

  private judge(
    log: PartitionLog,
    model: LogModel,
    count: number,
    { producerId, producerEpoch, baseSequence }: Producer,
    withoutKey: boolean,
  ): Verdict {
    if (withoutKey && log.config.compacts) return 'INVALID_RECORD' satisfies ErrorName
    if (model.isDoubted(producerId)) return 'unsure'
    const known = producerId < 0n ? undefined : model.producers().get(producerId)
    return model.judge(known, producerEpoch, baseSequence, baseSequence + count - 1, log.logStartOffset)
  }

  private readonly anyKey = (): Buffer => this.dice.pick(KEYS)

  /** @param parts how many such batches go into one append, which must fit into a segment */
  private batch(log: PartitionLog, count: number, options: BatchOptions, key: () => Buffer | null, parts = 1): Buffer {
    const { dice } = this
    const nowMs = this.clock.wallMs()
    const builder = new RecordBatchBuilder()
    const room = Math.max(0, Math.floor((log.config.segmentBytes / parts - 100) / count) - 40)
    const size = Math.min(room, dice.chance(0.1) ? dice.below(2000) : dice.below(120))
    const value = Buffer.allocUnsafe(size).fill(dice.below(256))
    const tombstones = dice.chance(0.3)
    for (let i = 0; i < count; i++) {
      const timestamp = BigInt(nowMs - 2000 + dice.below(4000))
      builder.append({ timestamp, key: key(), value: tombstones && dice.chance(0.5) ? null : value })
    }
    return builder.build(dice.chance(0.03) ? { ...options, codecId: CompressionCodec.gzip } : options)
  }
}

const describe = (verdict: Verdict) =>
  typeof verdict === 'object' ? `the answer that it is at ${verdict.duplicateOf.base} already` : verdict
