import type { ConfigTexts } from '../../config/effective.ts'
import { GroupConfig, TopicConfig } from '../../config/effective.ts'
import { findDefinition } from '../../config/registry.ts'
import { splitList } from '../../config/value.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { AlterConfigsRequest } from '../../protocol/messages/33-alter-configs.ts'
import type {
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
} from '../../protocol/messages/44-incremental-alter-configs.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { encodeRecord, keys } from '../metadata-records.ts'
import { withoutNeedlessElr } from './cluster-defaults.ts'
import { type ConfigResource, checkConfigs, resourceOf } from './config-rules.ts'
import type { Decision, DecisionContext, Step } from './decision.ts'

export type AlteredResource = IncrementalAlterConfigsRequest['resources'][number]
export type ReplacedResource = AlterConfigsRequest['resources'][number]
export type AlteredResourceResult = IncrementalAlterConfigsResponse['responses'][number]

export interface IncrementalAlterConfigsCommand {
  readonly resources: readonly AlteredResource[]
  readonly validateOnly: boolean
}

export interface AlterConfigsCommand {
  readonly resources: readonly ReplacedResource[]
  readonly validateOnly: boolean
}

const OPERATION = { set: 0, delete: 1, append: 2, subtract: 3 } as const

/** Changes single keys. A resource changes as a whole or not at all, and has its own result, in the order of the request. */
export function incrementalAlterConfigs(
  image: MetadataImage,
  { resources, validateOnly }: IncrementalAlterConfigsCommand,
  context: DecisionContext,
): Decision<AlteredResourceResult[]> {
  return alter(resources, validateOnly, (resource) => {
    refuseRepeated(resource.configs)
    const nulls = resource.configs.filter(({ configOperation, value }) => configOperation !== OPERATION.delete && value === null)
    if (nulls.length > 0) throw new KafkaError('INVALID_REQUEST', `${names(nulls)} has no value`)
    const target = resourceOf(image, resource.resourceType, resource.resourceName, context)
    const texts = new Map(image.config(target.type, target.name))
    for (const change of resource.configs) applyChange(texts, target, change, context)
    checkConfigs(
      image,
      target,
      texts,
      resource.configs.map(({ name }) => name),
      context,
    )
    return [...withoutNeedlessElr(image, target, texts, context.config), stepFor(target, texts)]
  })
}

/** Replaces all of a resource's configuration: what is not named is gone. */
export function alterConfigs(
  image: MetadataImage,
  { resources, validateOnly }: AlterConfigsCommand,
  context: DecisionContext,
): Decision<AlteredResourceResult[]> {
  return alter(resources, validateOnly, (resource) => {
    refuseRepeated(resource.configs)
    const nulls = resource.configs.filter(({ value }) => value === null)
    if (nulls.length > 0) throw new KafkaError('INVALID_REQUEST', `${names(nulls)} has no value`)
    const target = resourceOf(image, resource.resourceType, resource.resourceName, context)
    const texts = new Map(resource.configs.map(({ name, value }) => [name, value!]))
    checkConfigs(image, target, texts, [...texts.keys()], context)
    return [...withoutNeedlessElr(image, target, texts, context.config), stepFor(target, texts)]
  })
}

function alter<R extends { readonly resourceType: number; readonly resourceName: string }>(
  resources: readonly R[],
  validateOnly: boolean,
  decide: (resource: R) => Step[],
): Decision<AlteredResourceResult[]> {
  const steps: Step[] = []
  const reply = resources.map((resource): AlteredResourceResult => {
    const { resourceType, resourceName } = resource
    try {
      const equal = resources.filter((other) => other.resourceType === resourceType && other.resourceName === resourceName)
      if (equal.length > 1) throw new KafkaError('INVALID_REQUEST', `The request names '${resourceName}' ${equal.length} times`)
      steps.push(...decide(resource))
      return { errorCode: ErrorCode.NONE, errorMessage: null, resourceType, resourceName }
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      return { errorCode: error.errorCode, errorMessage: error.message, resourceType, resourceName }
    }
  })
  return { steps: validateOnly ? [] : steps, reply }
}

function applyChange(
  texts: Map<string, string>,
  target: ConfigResource,
  { name, configOperation, value }: AlteredResource['configs'][number],
  context: DecisionContext,
): void {
  switch (configOperation) {
    case OPERATION.set:
      texts.set(name, value!)
      break
    case OPERATION.delete:
      texts.delete(name)
      break
    case OPERATION.append:
    case OPERATION.subtract: {
      const definition = findDefinition(target.type, name)
      if (definition !== undefined && definition.type !== 'list') {
        throw new KafkaError('INVALID_CONFIG', `${name} is not a list: nothing can be added to or taken from it`)
      }
      const elements = splitList(texts.get(name) ?? inherited(target, texts, name, context))
      const changed = splitList(value!)
      const kept =
        configOperation === OPERATION.append
          ? [...new Set([...elements, ...changed])]
          : elements.filter((element) => !changed.includes(element))
      texts.set(name, kept.join(','))
      break
    }
    default:
      throw new KafkaError('INVALID_REQUEST', `Operation ${configOperation} on ${name} does not exist`)
  }
}

/** What a list holds that the resource itself has not set: it is added to, not replaced. */
function inherited({ type }: ConfigResource, texts: ConfigTexts, name: string, { config }: DecisionContext): string {
  const effective = type === 'topic' ? new TopicConfig(config, texts) : type === 'group' ? new GroupConfig(config, texts) : config
  return effective.describe([name])[0]?.value ?? ''
}

function stepFor({ type, name }: ConfigResource, texts: ConfigTexts): Step {
  const key = keys.config(type, name)
  return { ops: [texts.size === 0 ? { delete: key } : { put: key, value: encodeRecord({ configs: Object.fromEntries(texts) }) }] }
}

function refuseRepeated(configs: readonly { readonly name: string }[]): void {
  if (new Set(configs.map(({ name }) => name)).size !== configs.length) {
    throw new KafkaError('INVALID_REQUEST', 'A configuration key is named more than once')
  }
}

const names = (configs: readonly { readonly name: string }[]) => configs.map(({ name }) => name).join(', ')
