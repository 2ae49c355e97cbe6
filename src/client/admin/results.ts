// Administrative calls name many things at once and answer for each of them.

import { ErrorCode, errorName, KafkaError } from '../../protocol/error-codes.ts'

/** By name. What failed has its error in place of its result. */
export type Results<T> = Map<string, T | KafkaError>

/** The error that an answer carries, if it does. */
export function errorOf(errorCode: number, message?: string | null): KafkaError | undefined {
  if (errorCode === ErrorCode.NONE) return undefined
  const code = errorName(errorCode)
  return new KafkaError(code, message ?? code)
}

/** Throws the first error among the results. */
export function orThrow<T>(results: Results<T>): Map<string, T> {
  for (const result of results.values()) if (result instanceof KafkaError) throw result
  return results as Map<string, T>
}

/** Throws if the broker that was asked is not the controller (any more): the caller tries again elsewhere. */
export function throwIfMoved(results: Results<unknown>): void {
  for (const result of results.values()) if (result instanceof KafkaError && result.code === 'NOT_CONTROLLER') throw result
}
