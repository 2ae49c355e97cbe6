// What a configuration comes to. Layers, lowest first: defaults, static (file, environment, command line), dynamic for all
// brokers, dynamic for one broker; above them what a topic or group sets itself.

import type { ConfigDefinition } from './definition.ts'
import { clusterDefault } from './keys/metadata-store.ts'
import { RETENTION_SYNONYMS } from './keys/topic.ts'
import type { BrokerKey, BrokerValue, ConfigScope, GroupKey, GroupValue, TopicKey, TopicValue } from './registry.ts'
import { definitions, findDefinition } from './registry.ts'
import { defaultValue, displayText, parseConfigValue } from './value.ts'

/** Where a value comes from, by its number in DescribeConfigs answers. */
export const CONFIG_SOURCE = {
  topic: 1,
  dynamicBroker: 2,
  dynamicDefaultBroker: 3,
  staticBroker: 4,
  default: 5,
  brokerLogger: 6,
  clientMetrics: 7,
  group: 8,
} as const
export type ConfigSource = (typeof CONFIG_SOURCE)[keyof typeof CONFIG_SOURCE]

/** Texts by key, all checked before they got here. */
export type ConfigTexts = ReadonlyMap<string, string>
export const NO_CONFIGS: ConfigTexts = new Map()

export interface Synonym {
  readonly name: string
  /** Null for secrets. */
  readonly value: string | null
  readonly source: ConfigSource
}

/** One key as DescribeConfigs answers it. */
export interface EffectiveConfig {
  readonly name: string
  /** Null for secrets, and where nothing is set and there is no default. */
  readonly value: string | null
  readonly source: ConfigSource
  /** Everything that could have given the value, the one that did first. */
  readonly synonyms: readonly Synonym[]
  readonly readOnly: boolean
  readonly definition: ConfigDefinition
}

interface Setting {
  readonly name: string
  readonly text: string
  readonly source: ConfigSource
}

/** The configuration of one broker. Immutable: a change makes a new one. */
export class BrokerConfig {
  readonly static: ConfigTexts
  readonly dynamicDefault: ConfigTexts
  readonly dynamicBroker: ConfigTexts
  private readonly values = new Map<string, unknown>()

  constructor(
    staticTexts: ConfigTexts = NO_CONFIGS,
    dynamicDefault: ConfigTexts = NO_CONFIGS,
    dynamicBroker: ConfigTexts = NO_CONFIGS,
  ) {
    this.static = staticTexts
    this.dynamicDefault = dynamicDefault
    this.dynamicBroker = dynamicBroker
  }

  /** The same broker after a change of its dynamic configuration. */
  withDynamic(dynamicDefault: ConfigTexts, dynamicBroker: ConfigTexts): BrokerConfig {
    return new BrokerConfig(this.static, dynamicDefault, dynamicBroker)
  }

  /** The typed value of a key; null where nothing is set and there is no default. */
  get<K extends BrokerKey>(name: K): BrokerValue<K> {
    return memo(this.values, name, () => {
      const definition = findDefinition('broker', name)!
      const text = this.settings([name], false)[0]?.text ?? this.clusterDefault(name)
      return text === undefined ? defaultValue(name, definition) : parseConfigValue(name, definition, text)
    }) as BrokerValue<K>
  }

  /** Whether anybody has set the key. */
  has(name: BrokerKey): boolean {
    return this.settings([name], false).length > 0
  }

  /** All keys, or those named, in the order of their names. Unknown names are left out. */
  describe(names?: readonly string[] | null): EffectiveConfig[] {
    return select('broker', names).map(([name, definition]) => {
      const family = FAMILIES.find((members) => members.includes(name)) ?? [name]
      const settings = this.settings(family, true)
      // A coarser spelling stands behind a finer one, not before it: retention in hours is not what retention in ms is set to.
      const own = settings.findIndex((setting) => setting.name === name)
      return effective(name, definition, own === -1 ? [] : settings.slice(own), definition.dynamic === 'static')
    })
  }

  /** Only what is set dynamically for all brokers: the BROKER resource with the empty name. */
  describeDynamicDefaults(names?: readonly string[] | null): EffectiveConfig[] {
    return select('broker', names)
      .filter(([name]) => this.dynamicDefault.has(name))
      .map(([name, definition]) => {
        const text = this.dynamicDefault.get(name)!
        return effective(
          name,
          definition,
          [{ name, text, source: CONFIG_SOURCE.dynamicDefaultBroker }],
          definition.dynamic === 'static',
        )
      })
  }

  /** What is set for keys that stand for the same thing: by layer, the highest first, and within it in the order given. */
  settings(names: readonly string[], withDefaults: boolean): Setting[] {
    const layers: [ConfigTexts, ConfigSource][] = [
      [this.dynamicBroker, CONFIG_SOURCE.dynamicBroker],
      [this.dynamicDefault, CONFIG_SOURCE.dynamicDefaultBroker],
      [this.static, CONFIG_SOURCE.staticBroker],
    ]
    const settings: Setting[] = []
    for (const [texts, source] of layers) {
      for (const name of names) {
        const text = texts.get(name)
        if (text !== undefined) settings.push({ name, text, source })
      }
    }
    if (!withDefaults) return settings
    for (const name of names) {
      const text = this.clusterDefault(name) ?? findDefinition('broker', name)?.defaultText
      if (text !== undefined && text !== null) settings.push({ name, text, source: CONFIG_SOURCE.default })
    }
    return settings
  }

  private clusterDefault(name: string): string | undefined {
    const store = this.static.get('cluster.store')
    return store === undefined ? undefined : clusterDefault(name, store)
  }
}

/** The configuration of one topic: its own keys over its broker's. Immutable. */
export class TopicConfig {
  readonly broker: BrokerConfig
  readonly overrides: ConfigTexts
  private readonly values = new Map<string, unknown>()

  constructor(broker: BrokerConfig, overrides: ConfigTexts = NO_CONFIGS) {
    this.broker = broker
    this.overrides = overrides
  }

  get<K extends TopicKey>(name: K): TopicValue<K> {
    return memo(this.values, name, () => resource(this, 'topic', name, findDefinition('topic', name)!).value) as TopicValue<K>
  }

  /** All keys, or those named, in the order of their names. Unknown names are left out. */
  describe(names?: readonly string[] | null): EffectiveConfig[] {
    return select('topic', names).map(([name, definition]) => resource(this, 'topic', name, definition).effective)
  }
}

/** The configuration of one group: its own keys over its broker's. Immutable. */
export class GroupConfig {
  readonly broker: BrokerConfig
  readonly overrides: ConfigTexts
  private readonly values = new Map<string, unknown>()

  constructor(broker: BrokerConfig, overrides: ConfigTexts = NO_CONFIGS) {
    this.broker = broker
    this.overrides = overrides
  }

  get<K extends GroupKey>(name: K): GroupValue<K> {
    return memo(this.values, name, () => resource(this, 'group', name, findDefinition('group', name)!).value) as GroupValue<K>
  }

  /** All keys, or those named, in the order of their names. Unknown names are left out. */
  describe(names?: readonly string[] | null): EffectiveConfig[] {
    return select('group', names).map(([name, definition]) => resource(this, 'group', name, definition).effective)
  }
}

/** Broker keys that spell one thing in several units, the one that counts first. */
const FAMILIES: readonly (readonly string[])[] = [
  RETENTION_SYNONYMS.map(({ name }) => name),
  ['log.roll.ms', 'log.roll.hours'],
  ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
]

function resource(
  { broker, overrides }: TopicConfig | GroupConfig,
  scope: 'topic' | 'group',
  name: string,
  definition: ConfigDefinition,
): { value: unknown; effective: EffectiveConfig } {
  const names = definition.brokerSynonyms.map((synonym) => synonym.name)
  const settings = broker.settings(names, true)
  const own = overrides.get(name)
  if (own !== undefined) settings.unshift({ name, text: own, source: CONFIG_SOURCE[scope] })
  const first = settings[0]
  if (first === undefined) {
    return { value: defaultValue(name, definition), effective: effective(name, definition, [], false) }
  }
  const unitMs = definition.brokerSynonyms.find((synonym) => synonym.name === first.name)?.unitMs ?? 1
  const text = unitMs === 1 ? first.text : inMs(first.text, unitMs)
  return {
    value: parseConfigValue(name, definition, text),
    effective: effective(name, definition, settings, false, text),
  }
}

/** Whatever is negative means no limit, in every unit. */
function inMs(text: string, unitMs: number): string {
  const value = Number(text.trim())
  return value < 0 ? '-1' : String(value * unitMs)
}

function effective(
  name: string,
  definition: ConfigDefinition,
  settings: readonly Setting[],
  readOnly: boolean,
  text: string | null = settings[0]?.text ?? definition.defaultText,
): EffectiveConfig {
  return {
    name,
    value: text === null ? null : displayText(name, definition, text),
    source: settings[0]?.source ?? CONFIG_SOURCE.default,
    synonyms: settings.map((setting) => ({
      name: setting.name,
      value: definition.sensitive ? null : setting.text,
      source: setting.source,
    })),
    readOnly,
    definition,
  }
}

function select(
  scope: ConfigScope,
  names: readonly string[] | null | undefined,
): readonly (readonly [string, ConfigDefinition])[] {
  const all = definitions(scope)
  if (names === undefined || names === null) return all
  const wanted = new Set(names)
  return all.filter(([name]) => wanted.has(name))
}

function memo(values: Map<string, unknown>, name: string, compute: () => unknown): unknown {
  let value = values.get(name)
  if (value === undefined) {
    value = compute()
    values.set(name, value)
  }
  return value
}
