// *Strategy*: for any API, version and direction, make up a valid message, then feed the decoder (a) the message itself, (b) the message with
// a few bytes changed, dropped, doubled, or overwritten with the lengths that break parsers, and (c) plain noise. Requests come as
// whole frames behind a header that may be mutated too. Bytes from the network are never friendlier than this. What clients have us store as
// bytes (subscriptions, assignments), and what we store ourselves (group records, producer snapshots), goes the same way.
//
// *Invariants*: decoding ends with a value or a DecodeError, never with another exception. It never reads outside its bytes, nor holds more
// array elements than there were bytes. What decodes can be encoded, and decodes to the same value again.
//
// `node src/protocol/messages.fuzz.ts 100000 [seed]` runs it alone; a failure prints the seed that repeats it.

import assert from 'node:assert/strict'
import { DecodeError, Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { type Random, seededRandom } from '../host/random.ts'
import { apis } from './apis.ts'
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol.ts'
import { encodeRequest } from './headers.ts'
import { ZERO_UUID } from './ids.ts'
import { decodeGroupRecord, GroupMetadataRecord, OffsetCommitRecord } from './internal-records/group-records.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot, ProducerSnapshot } from './internal-records/producer-snapshot.ts'
import { decodeRequestHeader } from './request-header.ts'
import type { Field, Fields, Message, Shape } from './schema.ts'
import { within } from './versions.ts'

export interface FuzzResult {
  readonly decoded: number
  readonly refused: number
}

/** Throws at the first broken invariant. */
export function fuzz(iterations: number, seed: number): FuzzResult {
  let decoded = 0
  for (let i = 0; i < iterations; i++) {
    const random = seededRandom(seed + i)
    try {
      if (pick(random, [fuzzFrame, fuzzFrame, fuzzResponse, fuzzResponse, fuzzStored])(random)) decoded++
    } catch (error) {
      throw new Error(`seed ${seed + i}: ${(error as Error).message}`, { cause: error })
    }
  }
  return { decoded, refused: iterations - decoded }
}

/** As a broker reads it: the header says which body follows. */
function fuzzFrame(random: Random): boolean {
  const api = pick(random, apis)
  const version = api.versions.min + below(random, api.versions.max - api.versions.min + 1)
  const body = randomMessage(api.request, version, random)
  const frame = Buffer.concat(encodeRequest(api, version, random.u32() | 0, pick(random, [null, '', 'a-client']), body))
  return decodes(mutate(frame.subarray(4), random), (reader) => {
    const header = decodeRequestHeader(reader)
    if (header.api === undefined || !within(header.api.versions, header.apiVersion)) return false
    checkMessage(header.api.request, header.apiVersion, reader)
    return true
  })
}

function fuzzResponse(random: Random): boolean {
  const api = pick(random, apis)
  const version = api.versions.min + below(random, api.versions.max - api.versions.min + 1)
  const bytes = encode(api.response, version, randomMessage(api.response, version, random))
  return decodes(mutate(bytes, random), (reader) => {
    checkMessage(api.response, version, reader)
    return true
  })
}

function fuzzStored(random: Random): boolean {
  const value = (message: Message, version: number): never => randomMessage(message, version, random) as never
  const version = below(random, 4)
  const { key } = OffsetCommitRecord
  const [bytes, decode] = pick(random, [
    () => [encodeSubscription(value(ConsumerProtocolSubscription, version), version), decodeSubscription] as const,
    () => [encodeAssignment(value(ConsumerProtocolAssignment, version), version), decodeAssignment] as const,
    () => [OffsetCommitRecord.encodeKey(value(key, 0)), (bytes: Buffer) => decodeGroupRecord(bytes, null)] as const,
    () => [OffsetCommitRecord.encodeValue(value(OffsetCommitRecord.value, 4)), decodeCommit] as const,
    () => [GroupMetadataRecord.encodeValue(value(GroupMetadataRecord.value, 3)), decodeGroup] as const,
    () =>
      [
        encodeProducerSnapshot((value(ProducerSnapshot, 1) as { producerEntries: [] }).producerEntries),
        decodeProducerSnapshot,
      ] as const,
  ])()
  return decodes(mutate(bytes, random), ({ buffer }) => decode(buffer) !== undefined)
}

const decodeCommit = (bytes: Buffer) =>
  decodeGroupRecord(OffsetCommitRecord.encodeKey({ group: '', topic: '', partition: 0 }), bytes)
const decodeGroup = (bytes: Buffer) => decodeGroupRecord(GroupMetadataRecord.encodeKey({ group: '' }), bytes)

function decodes(bytes: Buffer, check: (reader: Reader) => boolean): boolean {
  try {
    return check(new Reader(bytes))
  } catch (error) {
    if (error instanceof DecodeError) return false
    throw error
  }
}

function checkMessage(message: Message, version: number, reader: Reader): void {
  const before = reader.remaining
  const value = message.decode(reader, version)
  assert.ok(reader.remaining >= 0, `${message.name} v${version} was read past its end`)
  assert.ok(elements(value) <= before, `${message.name} v${version} has more elements than bytes`)
  const again = message.decode(new Reader(encode(message, version, value)), version)
  assert.deepEqual(again, value, `${message.name} v${version} does not survive encoding`)
}

function elements(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum, item) => sum + elements(item), value.length)
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return 0
  return Object.values(value).reduce((sum, item) => sum + elements(item), 0)
}

export function encode(message: Message, version: number, value: Record<string, unknown>): Buffer {
  const writer = new Writer()
  message.encode(writer, version, value)
  return writer.toBuffer()
}

// ── mutation ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Lengths and counts that overflow, turn negative, or lie: as int16, int32 and varint. */
const HOSTILE = ['ffff', '7fff', '8000', 'ffffffff', '7fffffff', '80000000', 'ffffffff0f', 'ffffffff7f', '8080808080', '00'].map(
  (hex) => Buffer.from(hex, 'hex'),
)

/** The bytes themselves, noise, or the bytes with some damage. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  const kind = below(random, 8)
  if (kind === 0) return bytes
  if (kind === 1) return random.bytes(below(random, 200))
  let mutated = Buffer.from(bytes)
  for (let changes = 1 + below(random, 4); changes > 0; changes--) {
    const at = below(random, mutated.length + 1)
    const length = below(random, 9)
    switch (below(random, 6)) {
      case 0:
        if (at < mutated.length) mutated[at] = random.u32()
        break
      case 1:
        if (at < mutated.length) mutated[at] ^= 1 << below(random, 8)
        break
      case 2:
        pick(random, HOSTILE).copy(mutated, at)
        break
      case 3:
        mutated = mutated.subarray(0, at)
        break
      case 4:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + length)])
        break
      default:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(Math.max(0, at - length))])
    }
  }
  return mutated
}

// ── random messages ─────────────────────────────────────────────────────────────────────────────────────────────────

/** A valid value of a message: what decoding yields, with random content in the fields that the version carries. */
export function randomMessage(message: Message, version: number, random: Random, tags = true): Record<string, unknown> {
  return randomStruct(message.fields, version, random, within(message.flexible, version), tags)
}

function randomStruct(
  fields: Fields,
  version: number,
  random: Random,
  flexible: boolean,
  tags: boolean,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const tagged = flexible && within(field.taggedVersions, version)
      const absent = !within(field.versions, version) || (tagged && !(tags && below(random, 2) === 0))
      if (absent) return [name, defaultOf(field)]
      // Other implementations know errors by their codes, choke on others, and take 35 for a reason not to read on.
      if (/errorcode$/i.test(name)) return [name, below(random, 35)]
      return [name, randomField(field, version, random, flexible, tags)]
    }),
  )
}

function randomField(field: Field, version: number, random: Random, flexible: boolean, tags: boolean): unknown {
  if (within(field.nullableVersions, version) && below(random, 4) === 0) return null
  return randomShape(field.shape, version, random, flexible, tags)
}

function randomShape(shape: Shape, version: number, random: Random, flexible: boolean, tags: boolean): unknown {
  switch (shape.kind) {
    case 'struct':
      return randomStruct(shape.fields, version, random, flexible, tags)
    case 'array':
      return Array.from({ length: below(random, 4) }, () => randomShape(shape.element, version, random, flexible, tags))
    case 'bool':
      return below(random, 2) === 0
    case 'int8':
      return (random.u32() << 24) >> 24
    case 'int16':
      return (random.u32() << 16) >> 16
    case 'uint16':
      return random.u32() >>> 16
    case 'int32':
      return random.u32() | 0
    case 'uint32':
      return random.u32()
    case 'int64':
      return random.bytes(8).readBigInt64BE() >> BigInt(below(random, 64))
    case 'float64':
      return random.u32() / (1 + below(random, 1000))
    case 'uuid':
      return random.bytes(16).toString('base64url')
    case 'string':
      return (
        pick(random, ['', 'a', 'topic-1', 'čeština', '日本語', '🦆', 'x'.repeat(130)]) + pick(random, ['', String(random.u32())])
      )
    case 'bytes':
      return random.bytes(below(random, 20))
    case 'records':
      // Sometimes long enough to be linked into the message, not copied.
      return random.bytes(below(random, 10) === 0 ? 2000 : below(random, 20))
  }
}

/** What a field reads as that a version does not carry: said a second time here, so that the codecs have something to agree with. */
function defaultOf(field: Field): unknown {
  if (field.defaultValue !== undefined) return field.defaultValue
  switch (field.shape.kind) {
    case 'struct':
      return Object.fromEntries(Object.entries(field.shape.fields).map(([name, inner]) => [name, defaultOf(inner)]))
    case 'array':
      return []
    case 'bool':
      return false
    case 'int64':
      return 0n
    case 'uuid':
      return ZERO_UUID
    case 'string':
      return ''
    case 'bytes':
    case 'records':
      return Buffer.alloc(0)
    default:
      return 0
  }
}

export function below(random: Random, limit: number): number {
  return random.u32() % limit
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[below(random, from.length)]
}

if (import.meta.main) {
  const iterations = Number(process.argv[2] ?? 100_000)
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
  Error.stackTraceLimit = 3
  const { decoded, refused } = fuzz(iterations, seed)
  console.log(`messages: ${iterations} from seed ${seed}: ${decoded} decoded, ${refused} refused`)
}
