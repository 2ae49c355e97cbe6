// What a topic may be called.

import { KafkaError } from '../../protocol/error-codes.ts'

/** Becomes a directory name with `-<partition>` behind it. */
const MAX_LENGTH = 249

/** Topics that coordinators keep their state in: clients may read, not write them. */
export const INTERNAL_TOPICS: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state', '__share_group_state'])

/** @throws {KafkaError} INVALID_TOPIC_EXCEPTION, saying what is wrong */
export function checkTopicName(name: string): void {
  if (name === '') throw invalid('A topic name must not be empty')
  if (name === '.' || name === '..') throw invalid(`A topic must not be called '${name}'`)
  if (name.length > MAX_LENGTH) throw invalid(`A topic name has at most ${MAX_LENGTH} characters; this one has ${name.length}`)
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    throw invalid(`Topic name '${name}' is not legal: it may hold ASCII letters and digits, '.', '_' and '-'`)
  }
}

/** Names that metrics could not tell apart: they write both '.' and '_' as '_'. */
export function collide(a: string, b: string): boolean {
  return a.length === b.length && a.replaceAll('.', '_') === b.replaceAll('.', '_')
}

const invalid = (message: string) => new KafkaError('INVALID_TOPIC_EXCEPTION', message)
