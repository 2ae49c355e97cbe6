// Topics by regular expression, as Kafka's tools take it: the whole name must match, and commas stand for alternatives.

import { UsageError } from './tool.ts'

/** Throws UsageError for what is no expression. Java's syntax is close enough to ours for names of topics. */
export function topicPattern(list: string): (topic: string) => boolean {
  const pattern = topicExpression(list)
  return (topic) => pattern.test(topic)
}

/** The same as an expression, anchored at both ends. */
export function topicExpression(list: string): RegExp {
  const alternatives = list
    .trim()
    .replaceAll(',', '|')
    .replaceAll(/\s/g, '')
    .replace(/^["']+|["']+$/g, '')
  try {
    return new RegExp(`^(?:${alternatives})$`)
  } catch (error) {
    throw new UsageError(`${list} is an invalid regex.`, { cause: error })
  }
}
