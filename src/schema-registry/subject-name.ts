// Names of subjects. One may lie in a context, a registry within the registry with ids of its own: `:.context:subject`.

import { invalidSubject } from './errors.ts'

export const DEFAULT_CONTEXT = '.'
const QUALIFIED = /^:(\.[^:]*):(.*)$/s
const MAX_LENGTH = 4096

export function contextOf(subject: string): string {
  return QUALIFIED.exec(subject)?.[1] ?? DEFAULT_CONTEXT
}

/** As it is within its context. */
export function localName(subject: string): string {
  return QUALIFIED.exec(subject)?.[2] ?? subject
}

/** The subject in the context, unless it names one itself. */
export function inContext(context: string, subject: string): string {
  return context === DEFAULT_CONTEXT || subject.startsWith(':.') ? subject : `:${context}:${subject}`
}

/** Throws RegistryError 42208 for names that a URL or a log line could not carry, and those that mean something else. */
export function checkSubject(subject: string): void {
  const name = localName(subject)
  const isControl = [...subject].some((character) => character < ' ' || character === '\u007f')
  if (name === '' || subject.length > MAX_LENGTH || isControl || name === '__GLOBAL' || name === '__EMPTY')
    throw invalidSubject(subject)
}
