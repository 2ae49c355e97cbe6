// Configuration of topics, brokers and whatever else has some, and the quotas of clients.

import { DescribeConfigs } from '../../protocol/messages/32-describe-configs.ts'
import { AlterConfigs } from '../../protocol/messages/33-alter-configs.ts'
import { IncrementalAlterConfigs } from '../../protocol/messages/44-incremental-alter-configs.ts'
import { DescribeClientQuotas } from '../../protocol/messages/48-describe-client-quotas.ts'
import { AlterClientQuotas } from '../../protocol/messages/49-alter-client-quotas.ts'
import { ListConfigResources } from '../../protocol/messages/74-list-config-resources.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { Connection } from '../connection.ts'
import { check } from '../group-offsets.ts'
import { errorOf, type Results, throwIfMoved } from './results.ts'

export const ResourceType = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 } as const
export type ResourceTypeName = keyof typeof ResourceType

export interface ConfigResource {
  readonly type: ResourceTypeName
  /** Of a broker: its id; empty for the defaults of all brokers. */
  readonly name: string
}

/** Where a value comes from, by its number on the wire. */
const SOURCES = [
  'UNKNOWN',
  'DYNAMIC_TOPIC_CONFIG',
  'DYNAMIC_BROKER_CONFIG',
  'DYNAMIC_DEFAULT_BROKER_CONFIG',
  'STATIC_BROKER_CONFIG',
  'DEFAULT_CONFIG',
  'DYNAMIC_BROKER_LOGGER_CONFIG',
  'DYNAMIC_CLIENT_METRICS_CONFIG',
  'DYNAMIC_GROUP_CONFIG',
] as const
export type ConfigSource = (typeof SOURCES)[number]

export interface ConfigSynonym {
  readonly name: string
  readonly value: string | null
  readonly source: ConfigSource
}

export interface ConfigEntry {
  readonly name: string
  /** Null where it is a secret, or where there is none. */
  readonly value: string | null
  readonly source: ConfigSource
  readonly isReadOnly: boolean
  readonly isSensitive: boolean
  /** In order of precedence, the effective one first; only if asked for. */
  readonly synonyms: readonly ConfigSynonym[]
  readonly documentation: string | null
}

export const ConfigOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const

export interface ConfigChange {
  readonly name: string
  readonly operation: keyof typeof ConfigOperation
  /** Null with DELETE. */
  readonly value: string | null
}

/** `entityType`: user, client-id or ip. Null names the default. */
export interface QuotaEntity {
  readonly entityType: string
  readonly entityName: string | null
}

export interface QuotaFilter {
  readonly entityType: string
  /** A name, the default, or any. */
  readonly match: { readonly name: string } | 'default' | 'any'
}

export interface QuotaEntry {
  readonly entity: readonly QuotaEntity[]
  readonly values: Readonly<Record<string, number>>
}

/** For results: `TOPIC/name`. */
export function resourceKey({ type, name }: ConfigResource): string {
  return `${type}/${name}`
}

export class ConfigAdmin {
  private readonly cluster: ClusterClient

  constructor(cluster: ClusterClient) {
    this.cluster = cluster
  }

  /** By `resourceKey`. Null `keys` asks for all. */
  async describe(
    resources: readonly (ConfigResource & { readonly keys?: readonly string[] })[],
    options: { readonly includeSynonyms?: boolean; readonly includeDocumentation?: boolean } = {},
  ): Promise<Results<readonly ConfigEntry[]>> {
    return this.atBrokersInCharge('describing configuration', resources, async (connection, asked) => {
      const response = await connection.request(DescribeConfigs, {
        resources: asked.map(({ type, name, keys }) => ({
          resourceType: ResourceType[type],
          resourceName: name,
          configurationKeys: keys ?? null,
        })),
        includeSynonyms: options.includeSynonyms ?? false,
        includeDocumentation: options.includeDocumentation ?? false,
      })
      return response.results.map((result) => {
        const entries = result.configs.map(
          (config): ConfigEntry => ({
            name: config.name,
            value: config.value,
            source: sourceName(config.configSource),
            isReadOnly: config.readOnly,
            isSensitive: config.isSensitive,
            synonyms: config.synonyms.map(({ name, value, source }) => ({ name, value, source: sourceName(source) })),
            documentation: config.documentation,
          }),
        )
        return [keyOf(result), errorOf(result.errorCode, result.errorMessage) ?? entries] as const
      })
    })
  }

  /** By `resourceKey`. Changes the named keys and leaves the others. */
  async change(
    resources: readonly (ConfigResource & { readonly changes: readonly ConfigChange[] })[],
    options: { readonly validateOnly?: boolean } = {},
  ): Promise<Results<null>> {
    return this.atBrokersInCharge('changing configuration', resources, async (connection, asked) => {
      const response = await connection.request(IncrementalAlterConfigs, {
        resources: asked.map(({ type, name, changes }) => ({
          resourceType: ResourceType[type],
          resourceName: name,
          configs: changes.map((change) => ({
            name: change.name,
            configOperation: ConfigOperation[change.operation],
            value: change.value,
          })),
        })),
        validateOnly: options.validateOnly ?? false,
      })
      return response.responses.map((result) => [keyOf(result), errorOf(result.errorCode, result.errorMessage) ?? null] as const)
    })
  }

  /** By `resourceKey`. Sets the named keys and takes all others back to their defaults: `change` is nearly always meant. */
  async replace(
    resources: readonly (ConfigResource & { readonly configs: Readonly<Record<string, string | null>> })[],
    options: { readonly validateOnly?: boolean } = {},
  ): Promise<Results<null>> {
    return this.atBrokersInCharge('replacing configuration', resources, async (connection, asked) => {
      const response = await connection.request(AlterConfigs, {
        resources: asked.map(({ type, name, configs }) => ({
          resourceType: ResourceType[type],
          resourceName: name,
          configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
        })),
        validateOnly: options.validateOnly ?? false,
      })
      return response.responses.map((result) => [keyOf(result), errorOf(result.errorCode, result.errorMessage) ?? null] as const)
    })
  }

  /** Everything that has configuration of these types (KIP-1142). Brokers before 4.1 list client metrics only. */
  async listResources(types: readonly ResourceTypeName[]): Promise<ConfigResource[]> {
    const minVersion = types.every((type) => type === 'CLIENT_METRICS') ? 0 : 1
    const resourceTypes = types.map((type) => ResourceType[type])
    const response = await this.cluster.request(ListConfigResources, { resourceTypes }, { minVersion })
    check(response.errorCode)
    return response.configResources.map(({ resourceName, resourceType }) => ({
      type: typeName(resourceType),
      name: resourceName,
    }))
  }

  /** Quotas of the entities that match all filters; `strict` leaves out those that have more parts than the filters name. */
  async describeQuotas(filters: readonly QuotaFilter[], options: { readonly strict?: boolean } = {}): Promise<QuotaEntry[]> {
    const components = filters.map(({ entityType, match }) => ({
      entityType,
      matchType: match === 'any' ? 2 : match === 'default' ? 1 : 0,
      match: typeof match === 'string' ? null : match.name,
    }))
    const response = await this.cluster.request(DescribeClientQuotas, { components, strict: options.strict ?? false })
    check(response.errorCode, response.errorMessage)
    return (response.entries ?? []).map(({ entity, values }) => ({
      entity,
      values: Object.fromEntries(values.map(({ key, value }) => [key, value])),
    }))
  }

  /** A quota of null is removed. Rejects with the first error. */
  async alterQuotas(
    changes: readonly { readonly entity: readonly QuotaEntity[]; readonly quotas: Readonly<Record<string, number | null>> }[],
    options: { readonly validateOnly?: boolean } = {},
  ): Promise<void> {
    const entries = changes.map(({ entity, quotas }) => ({
      entity,
      ops: Object.entries(quotas).map(([key, value]) => ({ key, value: value ?? 0, remove: value === null })),
    }))
    const response = await this.cluster.request(AlterClientQuotas, { entries, validateOnly: options.validateOnly ?? false })
    for (const entry of response.entries) check(entry.errorCode, entry.errorMessage)
  }

  /** A broker answers for its own configuration only; for the rest any will do, and the controller is sure to know. */
  private async atBrokersInCharge<R extends ConfigResource, T>(
    what: string,
    resources: readonly R[],
    ask: (connection: Connection, resources: readonly R[]) => Promise<(readonly [string, T])[]>,
  ): Promise<Map<string, T>> {
    const byNode = Map.groupBy(resources, ({ type, name }) =>
      (type === 'BROKER' || type === 'BROKER_LOGGER') && name !== '' ? Number(name) : -1,
    )
    const answers = await Promise.all(
      [...byNode].map(([nodeId, asked]) =>
        this.cluster.retrying(what, this.cluster.apiTimeoutMs, async () => {
          const results = new Map(
            await ask(nodeId < 0 ? await this.cluster.controller() : await this.cluster.broker(nodeId), asked),
          )
          throwIfMoved(results)
          return results
        }),
      ),
    )
    return new Map(answers.flatMap((results) => [...results]))
  }
}

function sourceName(code: number): ConfigSource {
  return SOURCES[code] ?? 'UNKNOWN'
}

function typeName(code: number): ResourceTypeName {
  const found = Object.entries(ResourceType).find(([, value]) => value === code)
  return (found?.[0] ?? 'TOPIC') as ResourceTypeName
}

function keyOf({ resourceType, resourceName }: { resourceType: number; resourceName: string }): string {
  return resourceKey({ type: typeName(resourceType), name: resourceName })
}
