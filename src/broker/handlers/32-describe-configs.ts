import { RESOURCE_TYPES } from '../../cluster/metadata-records.ts'
import { CONFIG_TYPE_CODES } from '../../config/definition.ts'
import { type EffectiveConfig, GroupConfig, TopicConfig } from '../../config/effective.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { DescribeConfigs, type DescribeConfigsRequest } from '../../protocol/messages/32-describe-configs.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

type Resource = DescribeConfigsRequest['resources'][number]

/** What is configured, what it comes to, and where each value comes from. */
export const describeConfigs = handler(DescribeConfigs, {
  handle: (request, services) => ({
    results: request.resources.map((resource) => {
      const { resourceType, resourceName } = resource
      try {
        const configs = describe(resource, services).map((config) => ({
          name: config.name,
          value: config.value,
          readOnly: config.readOnly,
          configSource: config.source,
          isSensitive: config.definition.sensitive,
          synonyms: request.includeSynonyms ? config.synonyms : [],
          configType: CONFIG_TYPE_CODES[config.definition.type],
          documentation: request.includeDocumentation ? config.definition.documentation : null,
        }))
        return { errorCode: ErrorCode.NONE, errorMessage: null, resourceType, resourceName, configs }
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        return { errorCode: error.errorCode, errorMessage: error.message, resourceType, resourceName, configs: [] }
      }
    }),
  }),

  fail: (request, error) => ({
    results: request.resources.map(({ resourceType, resourceName }) => ({
      errorCode: error.errorCode,
      errorMessage: error.message,
      resourceType,
      resourceName,
      configs: [],
    })),
  }),
})

function describe({ resourceType, resourceName, configurationKeys }: Resource, services: Services): EffectiveConfig[] {
  // Kafka takes an empty list as it takes null: for all keys.
  const keys = configurationKeys?.length ? configurationKeys : null
  const image = services.image()
  const broker = services.config()
  switch (resourceType) {
    case RESOURCE_TYPES.topic: {
      const problem = services.topics.problemWithName(resourceName)
      if (problem !== undefined) throw problem
      if (image.topic(resourceName) === undefined) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION')
      return new TopicConfig(broker, image.config('topic', resourceName)).describe(keys)
    }
    case RESOURCE_TYPES.broker:
      if (resourceName === '') return broker.describeDynamicDefaults(keys)
      if (resourceName !== String(services.nodeId)) {
        throw new KafkaError(
          'INVALID_REQUEST',
          `broker ${resourceName || '""'} must be asked itself: this is broker ${services.nodeId}`,
        )
      }
      return broker.describe(keys)
    case RESOURCE_TYPES.group:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'the group has no name')
      return new GroupConfig(broker, image.config('group', resourceName)).describe(keys)
    default:
      throw new KafkaError('INVALID_REQUEST', `resources of type ${resourceType} have no configuration here`)
  }
}
