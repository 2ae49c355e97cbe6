// JSON that comes back as it was written: 9007199254740993 and 1.0 are other texts as JavaScript's numbers. A number that
// would change is kept as its text.

interface RawJson {
  readonly rawJSON: string
}

interface JsonWithSource {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): RawJson
  isRawJSON(value: unknown): value is RawJson
}

/** ECMAScript's "JSON.parse source text access", which the compiler's library does not describe yet. */
const json = JSON as unknown as JsonWithSource

/** Throws SyntaxError. */
export function parseJson(text: string): unknown {
  return json.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? json.rawJSON(source) : value,
  )
}

/** A number, also one that is kept as its text; undefined for anything else. */
export function numberIn(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return json.isRawJSON(value) ? Number(value.rawJSON) : undefined
}

/** Exact, where the text is that of an integer. */
export function integerIn(value: unknown): bigint | undefined {
  const text = typeof value === 'number' ? String(value) : json.isRawJSON(value) ? value.rawJSON : ''
  return /^-?\d+$/.test(text) ? BigInt(text) : undefined
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !json.isRawJSON(value)
}

/** With the keys of all objects sorted. */
export function sortedJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedJson)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, child]) => [key, sortedJson(child)]),
  )
}
