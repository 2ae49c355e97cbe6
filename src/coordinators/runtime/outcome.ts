// What one step of a state machine asks for: records to write, answers to give, timers to set. The machine itself touches nothing
// outside of it; the runtime does all of this, in this order, and lets no answer out before the records in front of it are committed.

import type { Producer, TransactionMarker } from './ports.ts'

/**
 * Somebody waits for an answer of this kind. A machine that cannot answer yet (a join waits for the others) keeps the ticket and
 * names it in a later outcome. What stands behind it, only the runtime knows; tests use strings.
 */
export type Ticket<Response> = object & { readonly answeredWith?: Response }

/**
 * `records` are replayed into the machine before its next step, live as at load. `timers` are known by the identity of their
 * object: setting one again moves it, null as the delay cancels it.
 */
export class Outcome<Response, Rec, Timer extends object> {
  /** Undefined if the answer comes later, on the ticket. */
  response: Response | undefined = undefined
  readonly records: Rec[] = []
  /** Whose transaction the records are part of. */
  producer: Producer | undefined = undefined
  /** Ends a transaction, behind the records. */
  marker: TransactionMarker | undefined = undefined
  readonly answers: { readonly ticket: Ticket<unknown>; readonly response: unknown }[] = []
  readonly timers: { readonly timer: Timer; readonly delayMs: number | null }[] = []
  /** Lines for the log: what an operator wants to know of. */
  readonly notes: string[] = []

  /** Answers the request at hand, and ends the step. */
  reply(response: Response): this {
    this.response = response
    return this
  }

  /** Answers a request that was parked. */
  answer<R>(ticket: Ticket<R>, response: R): void {
    this.answers.push({ ticket, response })
  }

  write(record: Rec): void {
    this.records.push(record)
  }

  wakeAfter(delayMs: number, timer: Timer): void {
    this.timers.push({ timer, delayMs })
  }

  cancel(timer: Timer): void {
    this.timers.push({ timer, delayMs: null })
  }

  note(line: string): void {
    this.notes.push(line)
  }
}
