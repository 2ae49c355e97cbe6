// What a configuration key is: its type, its default, what it may hold, who may change it while the broker runs, and whether
// we act on it. The keys themselves are data (keys/*.ts); their names and defaults are Kafka's.

/** The type of a value, and its number in DescribeConfigs answers. */
export const CONFIG_TYPE_CODES = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
} as const
export type ConfigType = keyof typeof CONFIG_TYPE_CODES

/** Who may change a broker's key while it runs: all brokers at once or each by itself, each only by itself, or nobody. */
export type Dynamic = 'cluster' | 'broker' | 'static'

/**
 * true: the broker acts on it. `accepted`: read, checked and shown, without effect here; a sentence may say why that is right.
 * `refused`: anything but the default is turned away, and the sentence says why.
 */
export type Honoured = true | 'accepted' | { readonly accepted: string } | { readonly refused: string }

/** A broker key that a topic's key falls back to, in a coarser unit where `unitMs` is more than 1. */
export interface BrokerSynonym {
  readonly name: string
  readonly unitMs: number
}

/** `T` is what a parsed value is, null among it where the key has no default. */
export interface ConfigDefinition<T = unknown> {
  readonly type: ConfigType
  /** As a properties file would spell it. Null: none. */
  readonly defaultText: string | null
  readonly documentation: string
  /** Bounds of numbers, both included. */
  readonly min?: number
  readonly max?: number
  /** The only values, or the only elements of a list. */
  readonly oneOf?: readonly string[]
  /** Whether a list may be empty. */
  readonly emptyList: boolean
  /** Says what is wrong with a value that passed all else; undefined if nothing is. */
  check?(value: T): string | undefined
  /** Topic keys, highest priority first; the first has the topic key's unit and gives it its place in DescribeConfigs. */
  readonly brokerSynonyms: readonly BrokerSynonym[]
  readonly dynamic: Dynamic
  readonly sensitive: boolean
  readonly honoured: Honoured
}

export type Value<D> = D extends ConfigDefinition<infer T> ? T : never

export interface Options<T> {
  min?: number
  max?: number
  oneOf?: readonly string[]
  emptyList?: boolean
  check?: (value: T) => string | undefined
  broker?: string | readonly BrokerSynonym[]
  dynamic?: Dynamic
  honoured?: Honoured
}

function define<T>(
  type: ConfigType,
  defaultText: string | null,
  documentation: string,
  { broker = [], dynamic = 'static', honoured = true, emptyList = true, ...rest }: Options<T>,
): ConfigDefinition<T> {
  const brokerSynonyms = typeof broker === 'string' ? [{ name: broker, unitMs: 1 }] : broker
  return {
    type,
    defaultText,
    documentation,
    dynamic,
    honoured,
    emptyList,
    brokerSynonyms,
    sensitive: type === 'password',
    ...rest,
  }
}

const text = (value: number | bigint | boolean | null) => (value === null ? null : String(value))
const INT_MAX = 2 ** 31 - 1

/** Long.MAX_VALUE: how Kafka spells "unlimited". */
export const LONG_MAX = 2n ** 63n - 1n

/** A default of null makes null one of the values. */
type Nullable<D, T> = D extends null ? T | null : T

export const int = <D extends number | null>(value: D, documentation: string, options: Options<Nullable<D, number>> = {}) =>
  define<Nullable<D, number>>('int', text(value), documentation, { min: -INT_MAX - 1, max: INT_MAX, ...options })

export const short = (value: number, documentation: string, options: Options<number> = {}) =>
  define<number>('short', text(value), documentation, { min: -32768, max: 32767, ...options })

/** Values beyond 2^53 are rounded when read as numbers: they are bounds, and no bound that large is ever reached. */
export const long = <D extends number | bigint | null>(
  value: D,
  documentation: string,
  options: Options<Nullable<D, number>> = {},
) => define<Nullable<D, number>>('long', text(value), documentation, options)

/** The default as text, because Java spells doubles its own way. */
export const double = (value: string, documentation: string, options: Options<number> = {}) =>
  define<number>('double', value, documentation, options)

export const boolean = (value: boolean, documentation: string, options: Options<boolean> = {}) =>
  define<boolean>('boolean', text(value), documentation, options)

export const string = <D extends string | null>(value: D, documentation: string, options: Options<Nullable<D, string>> = {}) =>
  define<Nullable<D, string>>('string', value, documentation, options)

export const list = <D extends string | null>(
  value: D,
  documentation: string,
  options: Options<Nullable<D, readonly string[]>> = {},
) => define<Nullable<D, readonly string[]>>('list', value, documentation, options)

/** The name of a Java class. */
export const className = <D extends string | null>(value: D, documentation: string, options: Options<Nullable<D, string>> = {}) =>
  define<Nullable<D, string>>('class', value, documentation, options)

/** Never shown. */
export const password = (documentation: string, options: Options<string | null> = {}) =>
  define<string | null>('password', null, documentation, options)

/** A value or key that cannot be used. The message names both, and where they were written. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly key: string

  constructor(key: string, message: string) {
    super(message)
    this.key = key
  }
}
