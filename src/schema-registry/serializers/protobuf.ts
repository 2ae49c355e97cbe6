// Protobuf values in a registry's wire format, by protobufjs.

import protobufjs from 'protobufjs'
import type { Codec } from '../../client/serializers.ts'
import type { ProtoMessage } from '../protobuf/proto-file.ts'
import { parseProto } from '../protobuf/proto-parser.ts'
import { eachMessage } from '../protobuf/proto-types.ts'
import { checkMessage } from './protobuf-value.ts'
import { type RegistryCodecOptions, registryCodec } from './registry-codec.ts'
import { decodeIndexes, encodeIndexes } from './wire-format.ts'

export interface ProtobufOptions extends RegistryCodecOptions {
  /** The message of the file that values are, with its package or without. Default: the first. */
  readonly message?: string
}

type Named = readonly { readonly name: string; readonly schema: string }[]

/** Field names in camelCase, 64 bits as bigint, enums by name, absent fields with their defaults: what protobufjs calls a plain object. */
const PLAIN = { longs: BigInt, enums: String, defaults: true, arrays: true, objects: true, oneofs: false } as const

/**
 * A codec for messages of a .proto file, given as its text. Imports of google/protobuf are known, others are `references` whose name
 * is the path that is imported. Without a schema it only reads, with the file that a value was written with.
 */
export function protobuf<T>(schema: string | undefined, options: ProtobufOptions): Codec<T> {
  return registryCodec<T>(
    {
      type: 'PROTOBUF',
      text: schema,
      writer(references) {
        const { path, name } = messageOf(schema!, options.message)
        const type = load(schema!, references).lookupType(name)
        const indexes = encodeIndexes(path)
        return {
          write(value) {
            checkMessage(type, value)
            return Buffer.concat([indexes, type.encode(type.fromObject(value as object)).finish()])
          },
        }
      },
      reader(written, references, own) {
        if (schema !== undefined) {
          const type = load(schema, own).lookupType(messageOf(schema, options.message).name)
          return (bytes) => type.toObject(type.decode(decodeIndexes(bytes).rest), PLAIN) as T
        }
        const root = load(written.schema, references)
        const file = parseProto(written.schema)
        return (bytes) => {
          const { indexes, rest } = decodeIndexes(bytes)
          const type = root.lookupType(nameAt(file.messages, file.package, indexes))
          return type.toObject(type.decode(rest), PLAIN) as T
        }
      },
    },
    options,
  )
}

function load(text: string, references: Named): protobufjs.Root {
  const root = new protobufjs.Root()
  const parse = (schema: string) => {
    const { imports = [] } = protobufjs.parse(schema, root)
    for (const path of imports) {
      const known = protobufjs.common.get(path)
      if (known?.nested !== undefined) root.addJSON(known.nested)
    }
  }
  for (const { schema } of references) parse(schema)
  parse(text)
  root.resolveAll()
  return root
}

/** The message by its name, and the way to it: its index, and those of what it is nested in. */
function messageOf(text: string, wanted: string | undefined): { path: number[]; name: string } {
  const file = parseProto(text)
  const found: { path: number[]; name: string }[] = []
  const walk = (messages: readonly ProtoMessage[], prefix: string, path: number[]) => {
    messages.forEach((message, index) => {
      const name = prefix === '' ? message.name : `${prefix}.${message.name}`
      found.push({ path: [...path, index], name })
      walk(message.messages, name, [...path, index])
    })
  }
  walk(file.messages, file.package, [])
  const match = found.find(({ name }) => wanted === undefined || name === wanted || name === `${file.package}.${wanted}`)
  if (match === undefined) {
    const names: string[] = []
    eachMessage(file, (_message, name) => names.push(name))
    throw new TypeError(`the .proto file has no message ${wanted ?? 'at all'}; it has: ${names.join(', ')}`)
  }
  return match
}

function nameAt(messages: readonly ProtoMessage[], prefix: string, indexes: readonly number[]): string {
  let name = prefix
  let level = messages
  for (const index of indexes) {
    const message = level[index]
    if (message === undefined) throw new TypeError(`the schema has no message with the indexes [${indexes.join(', ')}]`)
    name = name === '' ? message.name : `${name}.${message.name}`
    level = message.messages
  }
  return name
}
