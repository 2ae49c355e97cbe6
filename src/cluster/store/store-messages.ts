// What a process says to the one that keeps its metadata store: requests, each with one answer. A watch is asked for its next change,
// so that nothing piles up on the way to a process that has stopped listening.

import type { Change, CommitResult, Entry, Guard, LeaseId, MetadataStore, Op, Revision, StoreError } from './metadata-store.ts'

/** Between two processes, or the two ends of a test. What is sent arrives in order, or the channel closes. */
export interface StoreChannel {
  send(message: StoreMessage): void
  onMessage: (message: StoreMessage) => void
  onClose: () => void
}

export interface StoreCalls {
  hello: { ask: null; answer: { readonly limits: MetadataStore['limits'] } }
  load: { ask: { readonly prefix: string }; answer: { readonly revision: Revision; readonly entries: Entry[] } }
  commit: {
    ask: { readonly guards: readonly Guard[]; readonly ops: readonly Op[]; readonly onFail: readonly string[] }
    answer: CommitResult
  }
  /** Null: it has ended. */
  watch: { ask: { readonly watch: number; readonly prefix: string; readonly after: Revision }; answer: Change | null }
  next: { ask: { readonly watch: number }; answer: Change | null }
  unwatch: { ask: { readonly watch: number }; answer: null }
  grant: { ask: { readonly ttlMs: number }; answer: LeaseId }
  /** False: there is no such lease any more. */
  keepAlive: { ask: { readonly lease: LeaseId }; answer: boolean }
  revoke: { ask: { readonly lease: LeaseId }; answer: null }
  identity: { ask: null; answer: { readonly storeId: string; readonly revision: Revision } }
}

export type StoreCall = keyof StoreCalls

export type StoreMessage =
  | { [C in StoreCall]: { readonly id: number; readonly call: C; readonly ask: StoreCalls[C]['ask'] } }[StoreCall]
  | { readonly id: number; readonly answer: unknown }
  | {
      readonly id: number
      /** `unknown`: OutcomeUnknown. */
      readonly error: { readonly reason: StoreError['reason'] | 'unknown'; readonly message: string }
    }
