// Lines of text to records, for kafka-console-producer: with keys and headers if asked for, each behind its separator.

import type { ProducerRecord } from '../client/producer.ts'
import type { RecordHeader } from '../protocol/records/record.ts'
import type { Properties } from './client-properties.ts'
import { UsageError } from './tool.ts'

const SEPARATORS = {
  'key.separator': '\t',
  'headers.delimiter': '\t',
  'headers.separator': ',',
  'headers.key.separator': ':',
} as const
type SeparatorName = keyof typeof SEPARATORS

/** Pairs that could not be told apart in a line. */
const MUST_DIFFER: readonly (readonly [SeparatorName, SeparatorName])[] = [
  ['headers.delimiter', 'headers.separator'],
  ['headers.delimiter', 'headers.key.separator'],
  ['headers.separator', 'headers.key.separator'],
]

const KNOWN = new Set<string>([...Object.keys(SEPARATORS), 'parse.key', 'parse.headers', 'ignore.error', 'null.marker'])

export class LineReader {
  private readonly topic: string
  private readonly parseKey: boolean
  private readonly parseHeaders: boolean
  private readonly ignoreError: boolean
  private readonly separators: Record<SeparatorName, string>
  private readonly nullMarker: string | undefined
  private lineNumber = 0

  /** Throws UsageError for properties that are none, or contradict each other. */
  constructor(topic: string, properties: Properties) {
    for (const key of properties.keys()) if (!KNOWN.has(key)) throw new UsageError(`unknown reader property ${key}`)
    const isTrue = (key: string) => properties.get(key)?.trim().toLowerCase() === 'true'
    this.topic = topic
    this.parseKey = isTrue('parse.key')
    this.parseHeaders = isTrue('parse.headers')
    this.ignoreError = isTrue('ignore.error')
    this.nullMarker = properties.get('null.marker')
    this.separators = Object.fromEntries(
      Object.entries(SEPARATORS).map(([key, value]) => [key, properties.get(key) ?? value]),
    ) as Record<SeparatorName, string>
    for (const [a, b] of MUST_DIFFER) {
      if (this.separators[a] === this.separators[b]) throw new UsageError(`${a} and ${b} may not be equal`)
    }
    for (const [key, value] of Object.entries(this.separators)) {
      if (value === '') throw new UsageError(`${key} is empty`)
      if (value === this.nullMarker) throw new UsageError(`null.marker and ${key} may not be equal`)
    }
  }

  /** Throws UsageError that names the line, unless `ignore.error` makes the best of it. */
  read(line: string): ProducerRecord {
    this.lineNumber++
    let rest = line
    const cut = (enabled: boolean, separator: string, name: string): string | undefined => {
      if (!enabled) return undefined
      const at = rest.indexOf(separator)
      if (at === -1) {
        if (this.ignoreError) return undefined
        throw new UsageError(`No ${name} found on line number ${this.lineNumber}: '${line}'`)
      }
      const part = rest.slice(0, at)
      rest = rest.slice(at + separator.length)
      return part
    }
    const headers = cut(this.parseHeaders, this.separators['headers.delimiter'], 'headers delimiter')
    const key = cut(this.parseKey, this.separators['key.separator'], 'key separator')
    return {
      topic: this.topic,
      key: key === undefined ? null : this.orNull(key),
      value: this.orNull(rest),
      headers: headers === undefined || headers === this.nullMarker ? [] : this.readHeaders(headers),
    }
  }

  private readHeaders(text: string): RecordHeader[] {
    const separator = this.separators['headers.key.separator']
    // As Java's split: nothing behind the last separator is no header.
    const pairs = text.split(this.separators['headers.separator'])
    while (pairs.length > 1 && pairs.at(-1) === '') pairs.pop()
    return pairs.map((pair) => {
      const at = pair.indexOf(separator)
      if (at === -1) {
        if (this.ignoreError) return { key: pair, value: null }
        throw new UsageError(`No header key separator found in pair '${pair}' on line number ${this.lineNumber}`)
      }
      const key = pair.slice(0, at)
      if (key === this.nullMarker) {
        throw new UsageError(`Header keys should not be equal to the null marker '${this.nullMarker}' as they can't be null`)
      }
      return { key, value: this.orNull(pair.slice(at + separator.length)) }
    })
  }

  private orNull(text: string): Buffer | null {
    return text === this.nullMarker ? null : Buffer.from(text)
  }
}
