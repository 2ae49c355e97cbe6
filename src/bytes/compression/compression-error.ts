// Why compressed bytes were refused. A DecodeError, so that whoever guards against bad bytes guards against these as well.

import { DecodeError } from '../reader.ts'

/** `too-large`: well formed as far as was looked, but more than the reader is willing to hold. */
export type CompressionProblem = 'corrupt' | 'too-large' | 'unknown-codec'

export class CompressionError extends DecodeError {
  override readonly name = 'CompressionError'
  readonly problem: CompressionProblem

  constructor(problem: CompressionProblem, message: string, options?: ErrorOptions) {
    super(message, options)
    this.problem = problem
  }
}

export function corrupt(codec: string, cause?: unknown): CompressionError {
  const reason = cause instanceof Error ? cause.message : cause
  return new CompressionError('corrupt', `corrupt ${codec}: ${reason}`, { cause })
}

export function tooLarge(codec: string, maxBytes: number): CompressionError {
  return new CompressionError('too-large', `${codec}: more than ${maxBytes} bytes when decompressed`)
}
