// From the text of a configuration value to the value and back. Values travel and are stored as text; clients compare that
// text, so it is written as Java writes it.

import { type ConfigDefinition, ConfigError, LONG_MAX } from './definition.ts'

const LONG_MIN = -LONG_MAX - 1n

/** The elements of a list, without the blanks around them. */
export function splitList(text: string): string[] {
  const trimmed = text.trim()
  return trimmed === '' ? [] : trimmed.split(',').map((element) => element.trim())
}

/**
 * The typed value of `text`, checked against everything the definition says.
 * @throws {ConfigError} naming key, value and what is allowed
 */
export function parseConfigValue<T>(name: string, definition: ConfigDefinition<T>, text: string): T {
  const value = parseType(name, definition, text) as T
  const problem = definition.check?.(value)
  if (problem !== undefined) throw invalid(name, definition, text, problem)
  const { honoured } = definition
  if (typeof honoured === 'object' && 'refused' in honoured && text.trim() !== (definition.defaultText ?? '')) {
    throw new ConfigError(name, `${name} is not supported by moldau because ${honoured.refused}`)
  }
  return value
}

/** The value of a key that nobody has set. */
export function defaultValue<T>(name: string, definition: ConfigDefinition<T>): T {
  return definition.defaultText === null ? (null as T) : (parseType(name, definition, definition.defaultText) as T)
}

/** The value as DescribeConfigs shows it: numbers in canonical form, lists without blanks. Null for secrets. */
export function displayText(name: string, definition: ConfigDefinition, text: string): string | null {
  if (definition.sensitive) return null
  switch (definition.type) {
    case 'int':
    case 'short':
    case 'long':
      return String(BigInt(text.trim()))
    case 'double':
      return javaDouble(parseType(name, definition, text) as number)
    case 'boolean':
      return text.trim().toLowerCase()
    case 'list':
      return splitList(text).join(',')
    default:
      return text
  }
}

function parseType(name: string, definition: ConfigDefinition, text: string): unknown {
  const trimmed = text.trim()
  switch (definition.type) {
    case 'int':
    case 'short':
    case 'long': {
      if (!/^[-+]?\d{1,20}$/.test(trimmed)) throw invalid(name, definition, text)
      const whole = BigInt(trimmed.replace(/^\+/, ''))
      if (whole < LONG_MIN || whole > LONG_MAX) throw invalid(name, definition, text)
      return bounded(name, definition, text, Number(whole))
    }
    case 'double':
      if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed)) throw invalid(name, definition, text)
      return bounded(name, definition, text, Number(trimmed))
    case 'boolean': {
      const lower = trimmed.toLowerCase()
      if (lower !== 'true' && lower !== 'false') throw invalid(name, definition, text)
      return lower === 'true'
    }
    case 'list': {
      const elements = splitList(text)
      if (elements.length === 0 && !definition.emptyList) throw invalid(name, definition, text)
      for (const element of elements) {
        if (element === '' || (definition.oneOf !== undefined && !definition.oneOf.includes(element))) {
          throw invalid(name, definition, text)
        }
      }
      if (definition.oneOf !== undefined && new Set(elements).size !== elements.length) throw invalid(name, definition, text)
      return elements
    }
    default:
      if (definition.oneOf !== undefined && !definition.oneOf.includes(trimmed)) throw invalid(name, definition, text)
      return trimmed
  }
}

function bounded(name: string, definition: ConfigDefinition, text: string, value: number): number {
  if (definition.min !== undefined && value < definition.min) throw invalid(name, definition, text)
  if (definition.max !== undefined && value > definition.max) throw invalid(name, definition, text)
  return value
}

function invalid(
  name: string,
  definition: ConfigDefinition,
  text: string,
  problem = `must be ${allowed(definition)}`,
): ConfigError {
  const shown = definition.sensitive ? 'the value' : `'${text.length > 200 ? `${text.slice(0, 200)}…` : text}'`
  return new ConfigError(name, `Invalid value ${shown} for configuration ${name}: ${problem}`)
}

const NOUNS = {
  int: 'a whole number',
  short: 'a whole number',
  long: 'a whole number',
  double: 'a number',
  boolean: 'true or false',
  list: 'a comma-separated list',
  string: 'text',
  class: 'the name of a class',
  password: 'text',
}

/** What a key may hold, in words: `a whole number of at least 1`. */
export function allowed(definition: ConfigDefinition): string {
  const { type, min, max, oneOf } = definition
  if (oneOf !== undefined) {
    const choices = oneOf.join(', ')
    return type === 'list'
      ? `a list of ${choices}, each once${definition.emptyList ? '' : ', at least one of them'}`
      : `one of ${choices}`
  }
  const noun = NOUNS[type]
  if (min !== undefined && max !== undefined) return `${noun} from ${min} to ${max}`
  if (min !== undefined) return `${noun} of at least ${min}`
  if (max !== undefined) return `${noun} of at most ${max}`
  return type === 'list' && !definition.emptyList ? 'a comma-separated list of at least one element' : noun
}

/** As `Double.toString`: always with a point, in scientific notation outside 10^-3 to 10^7. */
function javaDouble(value: number): string {
  const size = Math.abs(value)
  if (value === 0) return '0.0'
  if (size >= 1e-3 && size < 1e7) return Number.isInteger(value) ? `${value}.0` : String(value)
  const [mantissa, exponent] = value.toExponential().split('e')
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`
}
