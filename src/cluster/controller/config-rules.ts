// Which configuration a resource may be given. The codes are Kafka's, who blames the configuration of a topic or group, but the
// request where a broker's is wrong.

import { checkBrokerConfig, checkGroupConfig, checkTopicConfig } from '../../config/cross-checks.ts'
import { ConfigError } from '../../config/definition.ts'
import { type BrokerConfig, type ConfigTexts, GroupConfig, TopicConfig } from '../../config/effective.ts'
import { type ConfigScope, findDefinition, unknownKey } from '../../config/registry.ts'
import { parseConfigValue } from '../../config/value.ts'
import { type ErrorName, KafkaError } from '../../protocol/error-codes.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { type ConfigResourceType, RESOURCE_TYPES } from '../metadata-records.ts'
import { checkMinIsr } from './cluster-defaults.ts'
import type { DecisionContext } from './decision.ts'
import { topicNameProblem } from './topic-name.ts'

export interface ConfigResource {
  readonly type: Exclude<ConfigResourceType, 'clientMetrics'>
  readonly name: string
}

/** @throws {KafkaError} INVALID_REQUEST, INVALID_TOPIC_EXCEPTION */
export function resourceOf(
  image: MetadataImage,
  resourceType: number,
  name: string,
  { brokerId }: DecisionContext,
): ConfigResource {
  switch (resourceType) {
    case RESOURCE_TYPES.topic:
      if (name === '') throw new KafkaError('INVALID_REQUEST', 'Topics have no default resource; the broker has their defaults')
      refuseIf(topicNameProblem(name), 'INVALID_TOPIC_EXCEPTION')
      return { type: 'topic', name }
    case RESOURCE_TYPES.broker:
      // Of another broker's: that one was asked, and has handed it on.
      if (name !== '' && name !== String(brokerId) && !(image.isCluster && image.broker(Number(name)) !== undefined)) {
        throw new KafkaError(
          'INVALID_REQUEST',
          `Broker '${name}' was asked for at broker ${brokerId}; send it there, or name none for all brokers`,
        )
      }
      return { type: 'broker', name }
    case RESOURCE_TYPES.group:
      if (name === '') throw new KafkaError('INVALID_REQUEST', 'Groups have no default resource; the broker has their defaults')
      return { type: 'group', name }
    default:
      throw new KafkaError('INVALID_REQUEST', `Configuration of resource type ${resourceType} cannot be changed`)
  }
}

/** @throws {KafkaError} INVALID_CONFIG */
export function checkTopicConfigs(config: TopicConfig, changed: Iterable<string>): void {
  checkValues('topic', config.overrides, changed, 'INVALID_CONFIG')
  refuseIf(checkTopicConfig(config), 'INVALID_CONFIG')
}

/**
 * Whether a resource may have these keys, of which some are new.
 * @throws {KafkaError} INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION
 */
export function checkConfigs(
  image: MetadataImage,
  { type, name }: ConfigResource,
  texts: ConfigTexts,
  changed: readonly string[],
  { config }: DecisionContext,
): void {
  switch (type) {
    case 'topic':
      checkTopicConfigs(new TopicConfig(config, texts), changed)
      if (image.topic(name) === undefined) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `Topic '${name}' does not exist`)
      break
    case 'group':
      checkValues('group', texts, changed, 'INVALID_CONFIG')
      refuseIf(checkGroupConfig(new GroupConfig(config, texts)), 'INVALID_CONFIG')
      break
    case 'broker':
      checkDynamic(name, texts, changed)
      checkMinIsr(image, { type, name }, texts)
      checkValues('broker', texts, changed, 'INVALID_REQUEST')
      refuseIf(checkBrokerConfig(withTexts(config, name, texts)), 'INVALID_REQUEST')
      break
  }
}

function checkDynamic(name: string, texts: ConfigTexts, changed: readonly string[]): void {
  for (const key of changed) {
    // What is taken away does no harm.
    if (!texts.has(key)) continue
    const dynamic = findDefinition('broker', key)?.dynamic
    if (dynamic === 'static') {
      throw new KafkaError(
        'INVALID_REQUEST',
        `${key} cannot be changed while the broker runs: set it in server.properties and restart`,
      )
    }
    if (dynamic === 'broker' && name === '')
      throw new KafkaError('INVALID_REQUEST', `${key} cannot be set for all brokers: name one`)
  }
}

function checkValues(
  scope: ConfigScope,
  texts: ConfigTexts,
  changed: Iterable<string>,
  code: 'INVALID_CONFIG' | 'INVALID_REQUEST',
): void {
  for (const key of changed) {
    const text = texts.get(key)
    if (text === undefined) continue
    const definition = findDefinition(scope, key)
    if (definition === undefined) throw new KafkaError('INVALID_CONFIG', unknownKey(scope, key))
    try {
      parseConfigValue(key, definition, text)
    } catch (error) {
      if (error instanceof ConfigError) throw new KafkaError(code, error.message, { cause: error })
      throw error
    }
  }
}

function refuseIf(problem: string | undefined, code: ErrorName): void {
  if (problem !== undefined) throw new KafkaError(code, problem)
}

function withTexts(config: BrokerConfig, name: string, texts: ConfigTexts): BrokerConfig {
  return name === '' ? config.withDynamic(texts, config.dynamicBroker) : config.withDynamic(config.dynamicDefault, texts)
}
