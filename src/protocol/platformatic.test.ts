// The messages against an implementation that others wrote: @platformatic/kafka, in every API and version that both know. Requests that
// it writes are read here as what went into it, and written again byte for byte; responses that we write are read there as what they were.

import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Reader } from '../bytes/reader.ts'
import { seededRandom } from '../host/random.ts'
import { apisByKey } from './apis.ts'
import { encode, randomMessage } from './messages.fuzz.ts'
import { type Api, type Fields, type Shape, within } from './schema.ts'

// biome-ignore lint/suspicious/noExplicitAny: values of any message, by field names that only run time knows
type Value = Record<string, any>

interface TheirApi {
  readonly api: { readonly key: number; readonly version: number }
  readonly createRequest: (...args: unknown[]) => { readonly buffer: Buffer }
  readonly parseResponse: (correlationId: number, key: number, version: number, reader: unknown) => Value
}

/** Where their interface is not the wire's. */
interface Quirk {
  /** Changes a random request so that they can send it: fields that they fix. Gets it in our form. */
  readonly sendable?: (request: Value, version: number) => void
  /** The request's fields under the names that they have for them, in their form. */
  readonly named?: (request: Value, version: number) => Value
  /** They make part of the request themselves: only that it survives reading and writing is checked. */
  readonly selfMade?: boolean
  /** Changes a random response to what they can read. */
  readonly readable?: (response: Value, version: number) => void
  /** What they have read, in the wire's form. */
  readonly wireForm?: (read: Value, version: number) => Value
  /** A field that they skip. */
  readonly unread?: (version: number) => string
}

const quirks: Record<number, Quirk> = {
  // They make the record batches.
  0: {
    named: ({ acks, topicData }) => ({
      acks,
      timeout: 1234,
      options: { transactionalId: null },
      topicData: topicData.flatMap(({ name, partitionData }: Value) =>
        partitionData.map(({ index }: Value) => ({ topic: name, partition: index, value: Buffer.from('v') })),
      ),
    }),
    selfMade: true,
  },
  // Topic names travel in a field called topicId; they read record batches, which random bytes are not.
  1: {
    sendable(request, version) {
      if (version <= 14) request.replicaId = -1
      for (const topic of request.topics) for (const partition of topic.partitions) partition.logStartOffset = -1n
    },
    named: (request) => ({
      ...request,
      topics: request.topics.map((topic: Value) => ({ ...topic, topicId: topic.topicId ?? topic.topic })),
    }),
    readable(response) {
      for (const topic of response.responses) for (const partition of topic.partitions) partition.records = null
    },
    wireForm: (read) => ({ ...read, responses: read.responses.map((topic: Value) => ({ topic: topic.topicId, ...topic })) }),
  },
  2: { named: (request) => ({ ...request, replica: request.replicaId }) },
  3: {
    sendable(request, version) {
      if (version === 10 || version === 11) {
        for (const topic of request.topics ?? []) {
          topic.topicId = 'AAAAAAAAAAAAAAAAAAAAAA'
          topic.name ??= ''
        }
      }
    },
  },
  8: {
    sendable(request, version) {
      if (version <= 4) request.retentionTimeMs = -1n
    },
    named: (request) => ({ ...request, generationId: request.generationIdOrMemberEpoch }),
  },
  // Always many groups; before version 8 the first is sent.
  9: {
    sendable(request, version) {
      if (version === 1) request.topics ??= []
    },
    named: (request, version) => (version < 8 ? { ...request, groups: [request] } : request),
  },
  // Always many keys and coordinators; before version 4 the first is sent.
  10: {
    named: (request, version) => ({
      keyType: request.keyType,
      coordinatorKeys: version < 4 ? [request.key] : request.coordinatorKeys,
    }),
    wireForm: (read, version) => (version < 4 ? { ...read, ...read.coordinators[0] } : read),
  },
  13: { named: (request, version) => (version < 3 ? { ...request, members: [{ memberId: request.memberId }] } : request) },
  16: {
    sendable(request, version) {
      if (version >= 4) request.statesFilter = ['Stable', 'Empty']
      if (version >= 5) request.typesFilter = ['classic']
    },
    selfMade: true,
  },
  // After an error they expect the body of version 0.
  18: {
    readable(response, version) {
      if (version === 3) response.errorCode = 0
    },
  },
  19: { unread: (version) => (version === 7 ? '' : 'topicConfigErrorCode') },
  20: {
    named: (request, version) =>
      version < 6 ? { ...request, topics: request.topicNames.map((name: string) => ({ name })) } : request,
  },
  23: {
    named: (request) => ({
      replicaId: request.replicaId,
      topics: renamed(request.topics, 'topic', 'name', 'partition', 'partitionIndex'),
    }),
  },
  // Always many transactions; before version 4 the first is sent.
  24: {
    named: (request, version) =>
      version < 4
        ? {
            transactions: [
              {
                transactionalId: request.v3AndBelowTransactionalId,
                producerId: request.v3AndBelowProducerId,
                producerEpoch: request.v3AndBelowProducerEpoch,
                topics: request.v3AndBelowTopics,
              },
            ],
          }
        : request,
    wireForm: (read, version) =>
      version < 4 ? { ...read, resultsByTopicV3AndBelow: read.resultsByTransaction[0].topicResults } : read,
  },
  35: { named: (request) => ({ topics: renamed(request.topics, 'topic', 'name') }) },
  // Members are objects before they are on the wire, too.
  56: {
    named: (request, version) => (version < 3 ? withIsrOfObjects(request) : request),
  },
  49: { named: (request) => ({ ...request, entries: renamed(request.entries, 'entity', 'entities') }) },
}

function withIsrOfObjects(request: Value): Value {
  const partitions = (topic: Value) =>
    topic.partitions.map((partition: Value) => ({
      ...partition,
      newIsrWithEpochs: partition.newIsr.map((brokerId: number) => ({ brokerId })),
    }))
  return { ...request, topics: request.topics.map((topic: Value) => ({ ...topic, partitions: partitions(topic) })) }
}

const dist = join(import.meta.dirname, '../../node_modules/@platformatic/kafka/dist')
const { Reader: TheirReader } = await import(pathToFileURL(join(dist, 'protocol/reader.js')).href)

for (const file of globSync('apis/*/*-v*.js', { cwd: dist }).sort()) {
  const theirs: TheirApi = await import(pathToFileURL(join(dist, file)).href)
  const { key, version } = theirs.api
  const api = apisByKey.get(key)
  if (api === undefined || !within(api.versions, version)) continue
  const quirk = quirks[key] ?? {}
  const random = seededRandom(key * 100 + version)

  test(`${api.name} v${version} goes both ways`, () => {
    for (let i = 0; i < 10; i++) {
      const value: Value = randomMessage(api.request, version, random, false)
      quirk.sendable?.(value, version)
      const bytes = theirRequest(theirs, api, version, quirk, value)
      const reader = new Reader(bytes)
      const decoded = api.request.decode(reader, version)
      assert.equal(reader.remaining, 0)
      assert.deepEqual(encode(api.request, version, decoded), bytes)
      if (quirk.selfMade !== true) assert.deepEqual(decoded, value)
    }
    for (let i = 0; i < 10; i++) {
      const value: Value = randomMessage(api.response, version, random)
      quirk.readable?.(value, version)
      const reader: { readonly remaining: number } = TheirReader.from(encode(api.response, version, value))
      const read = theirResponse(theirs, reader)
      assert.equal(reader.remaining, 0)
      same(api.response.fields, version, value, quirk.wireForm?.(read, version) ?? read, quirk.unread?.(version))
    }
  })
}

/** Calls them with the fields of the request that the parameters name. */
function theirRequest({ createRequest }: TheirApi, api: Api, version: number, quirk: Quirk, value: Value): Buffer {
  const plain = theirForm(api.request.fields, version, value)
  const named = quirk.named?.(plain, version) ?? plain
  const text = String(createRequest)
  const parameters = /\(([^)]*)\)/.exec(text)![1].split(',')
  // One of their versions hands its arguments on as they come.
  const names =
    parameters[0] === '...args'
      ? ['groups', 'requireStable']
      : parameters.map((text) => text.trim().split(' ')[0].replace('_', ''))
  return createRequest(...names.map((name) => named[name])).buffer
}

/** They throw an error that carries the response where it has an error code. */
function theirResponse({ api, parseResponse }: TheirApi, reader: unknown): Value {
  try {
    return parseResponse(0, api.key, api.version, reader)
  } catch (error) {
    const { response } = error as { response?: Value }
    if (response === undefined) throw error
    return response
  }
}

/** Hyphenated uuids, no tagged fields, none that the version does not carry. */
function theirForm(fields: Fields, version: number, value: Value): Value {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, field]) => within(field.versions, version) && !within(field.taggedVersions, version))
      .map(([name, field]) => [name, theirShape(field.shape, version, value[name])]),
  )
}

function theirShape(shape: Shape, version: number, value: unknown): unknown {
  if (value === null) return null
  if (shape.kind === 'array') return (value as unknown[]).map((element) => theirShape(shape.element, version, element))
  if (shape.kind === 'struct') return theirForm(shape.fields, version, value as Value)
  if (shape.kind !== 'uuid') return value
  return Buffer.from(value as string, 'base64url')
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Compares what the version carries; what else they put into their objects does not matter. */
function same(fields: Fields, version: number, ours: Value, theirs: Value, unread: string | undefined): void {
  for (const [name, field] of Object.entries(fields)) {
    if (within(field.versions, version) && name !== unread)
      sameShape(field.shape, version, ours[name], theirs[name], name, unread)
  }
}

function sameShape(
  shape: Shape,
  version: number,
  ours: unknown,
  theirs: unknown,
  name: string,
  unread: string | undefined,
): void {
  if (ours === null) {
    assert.ok(theirs === null || theirs === '' || (Array.isArray(theirs) && theirs.length === 0), `${name}: ${theirs}, not null`)
  } else if (shape.kind === 'struct') {
    same(shape.fields, version, ours as Value, theirs as Value, unread)
  } else if (shape.kind === 'array') {
    assert.ok(Array.isArray(theirs) && theirs.length === (ours as unknown[]).length, name)
    for (const [i, element] of (ours as unknown[]).entries()) sameShape(shape.element, version, element, theirs[i], name, unread)
  } else {
    assert.deepEqual(theirs, theirShape(shape, version, ours), name)
  }
}

function renamed(topics: Value[] | null, from: string, to: string, innerFrom?: string, innerTo?: string): Value[] | null {
  return (
    topics?.map(({ [from]: value, ...rest }) => ({
      [to]: value,
      ...rest,
      ...(innerFrom !== undefined && innerTo !== undefined && { partitions: renamed(rest.partitions, innerFrom, innerTo) }),
    })) ?? null
  )
}
