// Regular expressions that clients send, in the syntax of RE2: an engine without backtracking, which no pattern can keep busy. Loaded
// when the first one comes.

import { KafkaError } from '../protocol/error-codes.ts'

/** Far more than anybody types. The time for one text grows with its length times that of the pattern. */
const LONGEST_PATTERN = 1_000

/** Whether a whole text matches. Rejects with KafkaError INVALID_REGULAR_EXPRESSION. */
export async function re2Pattern(pattern: string): Promise<(text: string) => boolean> {
  if (pattern.length > LONGEST_PATTERN) {
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', `a pattern has ${LONGEST_PATTERN} characters at most`)
  }
  const { RE2JS, RE2JSException } = await import('re2js')
  try {
    const compiled = RE2JS.compile(pattern)
    return (text) => compiled.matches(text)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', error.message, { cause: error })
  }
}
