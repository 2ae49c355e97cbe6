// A history that has not kept a promise: its seed makes it fail again.

export class HistoryFailure extends Error {
  override readonly name = 'HistoryFailure'
  readonly seed: number
  readonly #trace: readonly string[]

  /** @param command what shows it again: `npm run <command> -- --seed <seed>` */
  constructor(command: string, seed: number, cause: Error, trace: readonly string[]) {
    super(`seed ${seed}: ${cause.stack} (npm run ${command} -- --seed ${seed})`, { cause })
    this.seed = seed
    this.#trace = trace
  }

  /** All that happened, in order. Too long to be shown with the error. */
  get trace(): readonly string[] {
    return this.#trace
  }
}
