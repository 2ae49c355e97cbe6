// The configuration that a broker starts with: server.properties, then KAFKA_ variables, then the command line, the later
// over the earlier. What is wrong names its key and the place it was written; everything that is wrong is said at once.

import { checkBrokerConfig } from './cross-checks.ts'
import { ConfigError } from './definition.ts'
import { BrokerConfig } from './effective.ts'
import { fromEnvironment } from './environment.ts'
import { GONE_KEYS, IGNORED_KEYS, IGNORED_PREFIXES } from './keys/unknown.ts'
import { parseListeners } from './listeners.ts'
import { parseProperties } from './properties.ts'
import { findDefinition, unknownKey } from './registry.ts'
import { parseConfigValue } from './value.ts'

/** One value and the place where it was written, as it is to be shown: `server.properties:12`, `--set`. */
export interface StaticSetting {
  readonly key: string
  readonly value: string
  readonly origin: string
}

export interface StaticSources {
  /** A file in Java's .properties format, as read. */
  readonly file?: { readonly path: string; readonly text: string }
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Of the command line, the later over the earlier. */
  readonly settings?: readonly StaticSetting[]
}

export interface StaticConfig {
  readonly config: BrokerConfig
  /** What was ignored or is doubtful, a sentence each. */
  readonly warnings: readonly string[]
}

/** `key=value` of the command line. */
export function parseSetting(text: string, origin = '--set'): StaticSetting {
  const equals = text.indexOf('=')
  if (equals < 1) throw new ConfigError(text, `${origin} ${text}: must be key=value`)
  return { key: text.slice(0, equals).trim(), value: text.slice(equals + 1).trim(), origin }
}

/** @throws {ConfigError} with a line for each thing that is wrong */
export function loadStaticConfig({ file, environment = {}, settings = [] }: StaticSources): StaticConfig {
  const accepted = new Map<string, StaticSetting>()
  const warnings: string[] = []
  const problems: ConfigError[] = []
  const accept = (setting: StaticSetting, unknown: 'refuse' | 'warn') => {
    const { key, value, origin } = setting
    const definition = findDefinition('broker', key)
    if (definition === undefined) {
      if (Object.hasOwn(GONE_KEYS, key)) {
        problems.push(new ConfigError(key, `${origin}: ${key} is not supported by moldau because ${GONE_KEYS[key]}`))
      } else if (IGNORED_KEYS.has(key) || IGNORED_PREFIXES.some((prefix) => key.startsWith(prefix))) {
        warnings.push(`${origin}: ${key} has no effect here`)
      } else if (unknown === 'warn') {
        warnings.push(`${origin}: ${unknownKey('broker', key)}`)
      } else {
        problems.push(new ConfigError(key, `${origin}: ${unknownKey('broker', key)}`))
      }
      return
    }
    try {
      parseConfigValue(key, definition, value)
      accepted.set(key, { key, value: value.trim(), origin })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(new ConfigError(key, `${origin}: ${error.message}`))
    }
  }

  if (file !== undefined) {
    const lines = new Map<string, number>()
    for (const { key, value, line } of parseProperties(file.text)) {
      const earlier = lines.get(key)
      if (earlier !== undefined)
        warnings.push(`${file.path}:${line}: ${key} was set in line ${earlier} already; the later counts`)
      lines.set(key, line)
      accept({ key, value, origin: `${file.path}:${line}` }, 'refuse')
    }
  }
  for (const { variable, key, value } of fromEnvironment(environment)) {
    // Other programs have their own KAFKA_ variables, and Kubernetes makes some for a service named kafka.
    accept({ key, value, origin: variable }, 'warn')
  }
  for (const setting of settings) accept(setting, 'refuse')
  throwAll(problems)

  const texts = new Map([...accepted].map(([key, { value }]) => [key, value]))
  const older = texts.get('broker.id')
  if (older !== undefined && Number(older) >= 0 && !texts.has('node.id')) texts.set('node.id', older)
  const config = new BrokerConfig(texts)
  for (const [key, problem] of wholeProblems(config)) {
    const origin = accepted.get(key)?.origin
    problems.push(new ConfigError(key, origin === undefined ? problem : `${origin}: ${problem}`))
  }
  throwAll(problems)
  return { config, warnings }
}

/** Where the data lies. */
export function dataDirectories(config: BrokerConfig): readonly string[] {
  return config.get('log.dirs') ?? [config.get('log.dir')]
}

function* wholeProblems(config: BrokerConfig): Generator<[key: string, problem: string]> {
  const brokerId = config.get('broker.id')
  if (brokerId >= 0 && brokerId !== config.get('node.id')) {
    yield ['broker.id', `broker.id (${brokerId}) and node.id (${config.get('node.id')}) are the same thing and must be equal`]
  }
  if (!config.get('process.roles').includes('broker')) {
    yield ['process.roles', 'process.roles must contain broker: moldau has no process that is a controller only']
  }
  for (const key of ['controller.quorum.voters', 'controller.quorum.bootstrap.servers'] as const) {
    const count = config.get(key).length
    if (count > 1) yield [key, `${key} names ${count} controllers: moldau does not support clusters of several nodes yet`]
  }
  const whole = checkBrokerConfig(config)
  if (whole !== undefined) yield [whole.split(' ')[0], whole]
  try {
    parseListeners(config)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    yield [error.key, error.message]
  }
}

function throwAll(problems: readonly ConfigError[]): void {
  if (problems.length === 0) return
  throw new ConfigError(problems[0].key, problems.map((problem) => problem.message).join('\n'))
}
