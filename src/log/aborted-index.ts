// The aborted transactions whose markers lie in one segment, for readers of committed records. Kafka's `.txnindex`: entries of 34
// bytes, in the order of the markers. Few segments have any, and only those have the file. Entries gather in memory and go to the
// file with the other indexes.

import type { Disk, DiskFile } from '../host/disk.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { FilePool } from './file-pool.ts'

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
  /** Of the marker. */
  readonly lastOffset: bigint
  /** Transactions that end behind this one begin at or behind it. Ascends with the markers. */
  readonly lastStableOffset: bigint
}

export interface Overlapping {
  readonly transactions: readonly AbortedTransaction[]
  /** No later segment has more of them. */
  readonly complete: boolean
}

export const ABORTED_ENTRY_SIZE = 34
const VERSION = 0
/** Entries held back in memory, at most. */
const ENTRIES_PER_SAVE = 1024
/** Read at a time. */
const ENTRIES_PER_READ = 1024

export class AbortedIndex {
  path: string
  private readonly disk: Disk
  private readonly pool: FilePool
  /** Entries in the file. */
  private saved: number
  /** The last offset of the last of them; undefined while nobody has looked. */
  private savedLast: bigint | undefined
  /** In front of none that is saved. Replaced when they are, never emptied. */
  private unsaved: AbortedTransaction[] = []
  /** There may be something in the file. */
  private exists: boolean
  /** The file, or its name, may be lost with the power. */
  private unsynced = false
  private saving: Promise<void> = Promise.resolve()

  /** @param saved entries in the file */
  constructor(disk: Disk, pool: FilePool, path: string, saved: number) {
    this.disk = disk
    this.pool = pool
    this.path = path
    this.saved = saved
    this.exists = saved > 0
  }

  get count(): number {
    return this.saved + this.unsaved.length
  }

  get shouldSave(): boolean {
    return this.unsaved.length >= ENTRIES_PER_SAVE
  }

  get hasUnsaved(): boolean {
    return this.unsaved.length > 0
  }

  /** In the order of their last offsets. */
  add(transaction: AbortedTransaction): void {
    this.unsaved.push(transaction)
  }

  /** Whether there may be one that ends at or behind `from`. */
  mayReach(from: bigint): boolean {
    const last = this.unsaved.at(-1)?.lastOffset ?? this.savedLast
    return this.count > 0 && (last === undefined || last >= from)
  }

  /** Those with offsets in `from` to `upTo` (not included); undefined if the file must be asked. */
  inMemory(from: bigint, upTo: bigint): Overlapping | undefined {
    const { saved, savedLast, unsaved } = this
    if (saved > 0 && (savedLast === undefined || savedLast >= from)) return undefined
    return new Found(from, upTo).among(unsaved)
  }

  /** Those with offsets in `from` to `upTo` (not included). Rejects with KafkaError KAFKA_STORAGE_ERROR where the file is damaged. */
  async overlapping(from: bigint, upTo: bigint): Promise<Overlapping> {
    const { saved, unsaved } = this
    const found = new Found(from, upTo)
    await this.readSaved(saved, (transactions) => found.among(transactions).complete)
    return found.among(unsaved)
  }

  /** Brings all entries into the file, which is created if there are any. */
  save(): Promise<void> {
    const saving = this.saving.then(() => this.saveNow())
    this.saving = saving.catch(() => {})
    return saving
  }

  /** Saves, and makes durable: the name, too. */
  async sync(): Promise<void> {
    await this.save()
    if (!this.unsynced) return
    this.unsynced = false
    await this.pool.use(this.path, 'write', (file) => file.sync())
    await this.disk.syncDirectory(this.path.slice(0, this.path.lastIndexOf('/')))
  }

  /** Makes the file, though there may be nothing to put into it: it is to take the place of another. */
  async create(): Promise<void> {
    this.exists = true
    this.unsynced = true
    await this.pool.use(this.path, 'write', async () => {})
  }

  /** Drops those that end at or behind `endOffset`; of what is in the file, also what was never an entry. With nothing under way. */
  async keepBelow(endOffset: bigint): Promise<void> {
    let kept = 0
    let last: bigint | undefined
    await this.readSaved(this.saved, (transactions) => {
      for (const { lastOffset } of transactions) {
        if (lastOffset >= endOffset || (last !== undefined && lastOffset <= last)) return true
        last = lastOffset
        kept++
      }
      return false
    })
    this.unsaved = this.unsaved.filter(({ lastOffset }) => lastOffset < endOffset)
    if (kept < this.saved) await this.truncate(kept)
    this.savedLast = last
  }

  /** Drops everything. */
  async empty(): Promise<void> {
    this.unsaved = []
    this.savedLast = undefined
    if (this.exists) await this.truncate(0)
  }

  private async truncate(count: number): Promise<void> {
    this.saved = count
    this.unsynced = true
    await this.pool.use(this.path, 'write', (file) => file.truncate(count * ABORTED_ENTRY_SIZE))
  }

  private async saveNow(): Promise<void> {
    const { unsaved } = this
    const count = unsaved.length
    if (count === 0) return
    const bytes = Buffer.allocUnsafe(count * ABORTED_ENTRY_SIZE)
    for (let i = 0; i < count; i++) encode(bytes, i * ABORTED_ENTRY_SIZE, unsaved[i])
    await this.pool.use(this.path, 'write', (file) => file.write([bytes], this.saved * ABORTED_ENTRY_SIZE))
    this.exists = true
    this.unsynced = true
    this.saved += count
    this.savedLast = unsaved[count - 1].lastOffset
    this.unsaved = unsaved.slice(count)
  }

  /** The first `count` entries of the file, some at a time, until `visit` says that it has seen enough. */
  private async readSaved(count: number, visit: (transactions: readonly AbortedTransaction[]) => boolean): Promise<void> {
    if (count === 0) return
    await this.pool.use(this.path, 'read', async (file) => {
      for (let first = 0; first < count; first += ENTRIES_PER_READ) {
        const transactions = await this.readEntries(file, first, Math.min(ENTRIES_PER_READ, count - first))
        if (first + transactions.length === this.saved) this.savedLast = transactions[transactions.length - 1].lastOffset
        if (visit(transactions)) return
      }
    })
  }

  private async readEntries(file: DiskFile, first: number, count: number): Promise<AbortedTransaction[]> {
    const bytes = Buffer.allocUnsafe(count * ABORTED_ENTRY_SIZE)
    const read = await file.read(bytes, first * ABORTED_ENTRY_SIZE)
    if (read !== bytes.length) {
      // Without it nobody can tell what was aborted.
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${this.path}: ${this.saved} entries expected, the file is shorter`)
    }
    return Array.from({ length: count }, (_, i) => decode(bytes, i * ABORTED_ENTRY_SIZE))
  }
}

/** What a search has found, entries coming in the order of their markers. */
class Found implements Overlapping {
  readonly transactions: AbortedTransaction[] = []
  complete = false
  private readonly from: bigint
  private readonly upTo: bigint

  constructor(from: bigint, upTo: bigint) {
    this.from = from
    this.upTo = upTo
  }

  among(transactions: readonly AbortedTransaction[]): this {
    for (const transaction of transactions) {
      if (this.complete) break
      if (transaction.lastOffset >= this.from && transaction.firstOffset < this.upTo) this.transactions.push(transaction)
      this.complete = transaction.lastStableOffset >= this.upTo
    }
    return this
  }
}

function encode(bytes: Buffer, at: number, transaction: AbortedTransaction): void {
  bytes.writeInt16BE(VERSION, at)
  bytes.writeBigInt64BE(transaction.producerId, at + 2)
  bytes.writeBigInt64BE(transaction.firstOffset, at + 10)
  bytes.writeBigInt64BE(transaction.lastOffset, at + 18)
  bytes.writeBigInt64BE(transaction.lastStableOffset, at + 26)
}

function decode(bytes: Buffer, at: number): AbortedTransaction {
  return {
    producerId: bytes.readBigInt64BE(at + 2),
    firstOffset: bytes.readBigInt64BE(at + 10),
    lastOffset: bytes.readBigInt64BE(at + 18),
    lastStableOffset: bytes.readBigInt64BE(at + 26),
  }
}
