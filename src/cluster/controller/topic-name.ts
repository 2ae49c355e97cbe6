// What a topic may be called.

/** A topic's name becomes that of a directory, with `-<partition>` behind it. */
const MAX_LENGTH = 249

/** Says why no topic may have the name; undefined where one may. */
export function topicNameProblem(name: string): string | undefined {
  if (name === '') return 'A topic name must not be empty'
  if (name === '.' || name === '..') return `A topic must not be called '${name}'`
  if (name.length > MAX_LENGTH) return `A topic name has at most ${MAX_LENGTH} characters; this one has ${name.length}`
  if (!/^[a-zA-Z0-9._-]+$/.test(name))
    return `Topic name '${name}' is not legal: it may hold ASCII letters and digits, '.', '_' and '-'`
  return undefined
}

/** Whether metrics could not tell two names apart: they write both '.' and '_' as '_'. */
export function collide(a: string, b: string): boolean {
  return a.length === b.length && a.replaceAll('.', '_') === b.replaceAll('.', '_')
}
