import { RESOURCE_TYPES } from '../../cluster/metadata-records.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { ListConfigResources } from '../../protocol/messages/74-list-config-resources.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

/** Kafka's number for the loggers of a broker. There are none here to set levels of. */
const BROKER_LOGGER = 8

/** The names of everything that can be configured, by type; all types if none is named. */
export const listConfigResources = handler(ListConfigResources, {
  handle(request, services, call) {
    const all = [...Object.values(RESOURCE_TYPES), BROKER_LOGGER]
    const wanted =
      call.version === 0 ? [RESOURCE_TYPES.clientMetrics] : request.resourceTypes.length === 0 ? all : request.resourceTypes
    if (wanted.some((type) => !all.includes(type as (typeof all)[number])))
      return { errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] }
    const configResources = [...new Set(wanted)].flatMap((resourceType) =>
      names(resourceType, services).map((resourceName) => ({ resourceName, resourceType })),
    )
    return { errorCode: ErrorCode.NONE, configResources }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, configResources: [] }),
})

function names(type: number, services: Services): string[] {
  const image = services.image()
  switch (type) {
    case RESOURCE_TYPES.topic:
      return image.topics().map(({ name }) => name)
    case RESOURCE_TYPES.broker:
    case BROKER_LOGGER:
      return image.brokers().map(({ id }) => String(id))
    case RESOURCE_TYPES.group:
      return image.configuredResources('group')
    default:
      return image.configuredResources('clientMetrics')
  }
}
