// How batches get into a log, by where they come from: each is judged by what is known of its producer, and then given its place.
// At once, and all of them or none.

import {
  baseOffset,
  batchSize,
  isControl,
  leaderEpoch as leaderEpochOf,
  stampLogAppendTime,
} from '../protocol/records/batch-header.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { admitProduced, checkBatches, checkCopied } from './append-checks.ts'
import type { LogConfig } from './log-config.ts'
import type { AppendOptions, AppendResult } from './log-types.ts'
import type { ProducerState } from './producer-state.ts'
import type { Verifications } from './verifications.ts'

/** What an append needs of its log. */
export interface AppendTarget {
  readonly config: LogConfig
  readonly producers: ProducerState
  readonly verifications: Verifications
  readonly endOffset: bigint
  /** Stamps the batch, which must lie at the end of the log or behind it, and queues the write. */
  place(batch: Buffer, offset: bigint, leaderEpoch: number, nowMs: number): void
}

const NO_APPEND_TIME = -1n

/** One batch from a client. Throws KafkaError: what `admitProduced`, `ProducerState.check` and `Verifications.check` say. */
export function appendProduced(log: AppendTarget, bytes: Buffer, options: AppendOptions, nowMs: number): AppendResult {
  const batch = admitProduced(bytes, log.config, nowMs, options.allowance)
  const stampsTime = log.config.messageTimestampType === 'LogAppendTime'
  const known = log.producers.check(batch, 0, options.transactionVersion)
  if (known !== undefined) {
    const { firstOffset, lastOffset, timestamp } = known
    return { firstOffset, lastOffset, logAppendTimeMs: stampsTime ? timestamp : NO_APPEND_TIME, duplicate: true }
  }
  if (options.verification !== undefined) log.verifications.check(batch, options.verification)
  const firstOffset = log.endOffset
  log.place(batch, firstOffset, options.leaderEpoch, nowMs)
  return {
    firstOffset,
    lastOffset: log.endOffset - 1n,
    logAppendTimeMs: stampsTime ? BigInt(nowMs) : NO_APPEND_TIME,
    duplicate: false,
  }
}

/** Batches that this broker has made. Throws KafkaError: what `checkBatches` and `ProducerState.checkOwn` say. */
export function appendOwn(log: AppendTarget, batches: Buffer, options: AppendOptions, nowMs: number): AppendResult {
  checkBatches(batches, log.config)
  let count = 0
  let known = 0
  for (const at of eachBatch(batches)) {
    count++
    if (!log.producers.checkOwn(batches, at, options.transactionVersion)) known++
  }
  if (known === count && count > 0) {
    // Where the marker lies that is there already, nobody has noted: whoever waits for it waits for all there is.
    const lastOffset = log.endOffset - 1n
    return { firstOffset: lastOffset, lastOffset, logAppendTimeMs: NO_APPEND_TIME, duplicate: true }
  }
  const firstOffset = log.endOffset
  const stampsTime = log.config.messageTimestampType === 'LogAppendTime'
  for (const at of eachBatch(batches)) {
    const batch = batches.subarray(at, at + batchSize(batches, at))
    if (stampsTime && !isControl(batch)) stampLogAppendTime(batch, 0, BigInt(nowMs))
    log.place(batch, log.endOffset, options.leaderEpoch, nowMs)
  }
  const logAppendTimeMs = stampsTime ? BigInt(nowMs) : NO_APPEND_TIME
  return { firstOffset, lastOffset: log.endOffset - 1n, logAppendTimeMs, duplicate: false }
}

/** Batches as the leader has them. Throws KafkaError: what `checkCopied` says. */
export function appendCopied(log: AppendTarget, batches: Buffer, nowMs: number): AppendResult {
  checkCopied(batches, log.endOffset)
  const firstOffset = batches.length === 0 ? log.endOffset : baseOffset(batches)
  for (const at of eachBatch(batches)) {
    const batch = batches.subarray(at, at + batchSize(batches, at))
    log.place(batch, baseOffset(batch), leaderEpochOf(batch), nowMs)
  }
  return { firstOffset, lastOffset: log.endOffset - 1n, logAppendTimeMs: NO_APPEND_TIME, duplicate: false }
}
