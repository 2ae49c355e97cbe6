// Reads a .proto file: proto2, proto3 and editions, as protoc's grammar has them.

import { MAX_DEPTH, SchemaSyntaxError } from '../schema.ts'
import {
  emptyFile,
  emptyMessage,
  type FieldLabel,
  MAX_FIELD_NUMBER,
  type ProtoEnum,
  type ProtoExtension,
  type ProtoField,
  type ProtoFile,
  type ProtoMessage,
  type ProtoMethod,
  type ProtoOption,
  type ProtoRange,
  type ProtoService,
} from './proto-file.ts'
import { Tokens, unexpected } from './proto-tokens.ts'

const LABELS: readonly string[] = ['optional', 'required', 'repeated']
const MAP_KEYS = [
  'int32',
  'int64',
  'uint32',
  'uint64',
  'sint32',
  'sint64',
  'fixed32',
  'fixed64',
  'sfixed32',
  'sfixed64',
  'bool',
  'string',
]
const MAX_ENUM_NUMBER = 2 ** 31 - 1

/** Throws SchemaSyntaxError with the line. Whether types exist is for whoever knows the imports. */
export function parseProto(text: string): ProtoFile {
  return new ProtoParser(text).file()
}

class ProtoParser {
  private readonly tokens: Tokens
  private depth = 0

  constructor(text: string) {
    this.tokens = new Tokens(text)
  }

  file(): ProtoFile {
    const { tokens } = this
    const file = emptyFile()
    while (tokens.peek().kind !== 'end') {
      if (tokens.accept(';')) continue
      const token = tokens.peek()
      switch (tokens.word("'syntax', 'package', 'import', 'option', 'message', 'enum', 'service' or 'extend'")) {
        case 'syntax':
          tokens.expect('=')
          file.syntax = tokens.string('"proto2" or "proto3"')
          if (file.syntax !== 'proto2' && file.syntax !== 'proto3')
            throw new SchemaSyntaxError(`line ${token.line}: there is no syntax "${file.syntax}"`)
          tokens.expect(';')
          break
        case 'edition':
          tokens.expect('=')
          file.syntax = tokens.string('an edition')
          tokens.expect(';')
          break
        case 'package':
          file.package = tokens.dotted('the name of a package')
          tokens.expect(';')
          break
        case 'import': {
          const kind = tokens.accept('public') ? 'public' : tokens.accept('weak') ? 'weak' : undefined
          file.imports.push({ path: tokens.string('the path of a file'), kind })
          tokens.expect(';')
          break
        }
        case 'option':
          file.options.push(this.option())
          break
        case 'message':
          file.messages.push(this.message())
          break
        case 'enum':
          file.enums.push(this.enum())
          break
        case 'extend':
          file.extensions.push(this.extend(file.messages))
          break
        case 'service':
          file.services.push(this.service())
          break
        default:
          throw unexpected(token, "'message', 'enum' or another definition")
      }
    }
    return file
  }

  private message(): ProtoMessage {
    const message = emptyMessage(this.tokens.word('the name of a message'))
    this.tokens.expect('{')
    this.body(message)
    return message
  }

  /** Up to and with the closing brace. */
  private body(message: ProtoMessage): void {
    const { tokens } = this
    this.enter()
    while (!tokens.accept('}')) {
      const { text, line } = tokens.peek()
      if (tokens.accept(';')) continue
      if (tokens.accept('message')) message.messages.push(this.message())
      else if (tokens.accept('enum')) message.enums.push(this.enum())
      else if (tokens.accept('extend')) message.extensions.push(this.extend(message.messages))
      else if (tokens.accept('option')) message.options.push(this.option())
      else if (tokens.accept('oneof')) this.oneof(message)
      else if (tokens.accept('reserved')) this.reserved(message.reservedRanges, message.reservedNames, MAX_FIELD_NUMBER)
      else if (tokens.accept('extensions')) {
        message.extensionRanges.push(...this.ranges(MAX_FIELD_NUMBER))
        this.fieldOptions()
        tokens.expect(';')
      } else {
        const field = this.field(undefined, message.messages)
        const same = message.fields.find(({ number, name }) => number === field.number || name === field.name)
        if (same !== undefined) throw new SchemaSyntaxError(`line ${line}: ${clash(message, field, same)}`)
        message.fields.push(field)
      }
      if (tokens.peek().kind === 'end') throw unexpected(tokens.peek(), `'}' after '${text}'`)
    }
    this.depth--
  }

  private oneof(message: ProtoMessage): void {
    const { tokens } = this
    const oneof = { name: tokens.word('the name of a oneof'), options: [] as ProtoOption[] }
    message.oneofs.push(oneof)
    tokens.expect('{')
    while (!tokens.accept('}')) {
      if (tokens.accept(';')) continue
      const { line } = tokens.peek()
      if (tokens.accept('option')) oneof.options.push(this.option())
      else {
        const field = this.field(oneof.name, message.messages)
        const same = message.fields.find(({ number, name }) => number === field.number || name === field.name)
        if (same !== undefined) throw new SchemaSyntaxError(`line ${line}: ${clash(message, field, same)}`)
        message.fields.push(field)
      }
    }
  }

  /** Groups define a message beside the field: it joins `messages`. */
  private field(oneof: string | undefined, messages: ProtoMessage[]): ProtoField {
    const { tokens } = this
    const first = tokens.peek()
    const label = LABELS.includes(first.text) && first.kind === 'word' ? (tokens.next().text as FieldLabel) : undefined
    let type = tokens.dotted('the type of a field')
    let keyType: string | undefined
    if (type === 'map' && tokens.accept('<')) {
      const key = tokens.next()
      if (!MAP_KEYS.includes(key.text)) throw unexpected(key, 'an integral type or string, as the key of a map,')
      keyType = key.text
      tokens.expect(',')
      type = tokens.dotted('the type of the values of a map')
      tokens.expect('>')
    }
    const isGroup = type === 'group'
    const name = tokens.word('the name of a field')
    tokens.expect('=')
    const at = tokens.peek()
    const number = tokens.integer('the number of a field')
    if (number < 1 || number > MAX_FIELD_NUMBER || (number >= 19_000 && number <= 19_999)) {
      throw new SchemaSyntaxError(`line ${at.line}: field "${name}" may not have the number ${number}`)
    }
    const options = this.fieldOptions()
    if (!isGroup) {
      tokens.expect(';')
      return { name, number, label, type, keyType, oneof, options, isGroup }
    }
    const message = emptyMessage(name)
    tokens.expect('{')
    this.body(message)
    messages.push(message)
    return { name: name.toLowerCase(), number, label, type: name, keyType, oneof, options, isGroup }
  }

  private enum(): ProtoEnum {
    const { tokens } = this
    const name = tokens.word('the name of an enum')
    const result: ProtoEnum = { name, values: [], options: [], reservedRanges: [], reservedNames: [] }
    tokens.expect('{')
    while (!tokens.accept('}')) {
      if (tokens.accept(';')) continue
      if (tokens.accept('option')) result.options.push(this.option())
      else if (tokens.accept('reserved')) this.reserved(result.reservedRanges, result.reservedNames, MAX_ENUM_NUMBER)
      else {
        const value = tokens.word('the name of a value')
        tokens.expect('=')
        const number = tokens.integer('the number of a value')
        result.values.push({ name: value, number, options: this.fieldOptions() })
        tokens.expect(';')
      }
    }
    return result
  }

  private extend(messages: ProtoMessage[]): ProtoExtension {
    const { tokens } = this
    const extendee = tokens.dotted('the name of a message')
    const fields: ProtoField[] = []
    tokens.expect('{')
    while (!tokens.accept('}')) if (!tokens.accept(';')) fields.push(this.field(undefined, messages))
    return { extendee, fields }
  }

  private service(): ProtoService {
    const { tokens } = this
    const service: ProtoService = { name: tokens.word('the name of a service'), methods: [], options: [] }
    tokens.expect('{')
    while (!tokens.accept('}')) {
      if (tokens.accept(';')) continue
      if (tokens.accept('option')) service.options.push(this.option())
      else service.methods.push(this.method())
    }
    return service
  }

  private method(): ProtoMethod {
    const { tokens } = this
    tokens.expect('rpc')
    const name = tokens.word('the name of a method')
    const side = () => {
      tokens.expect('(')
      // `stream` may also be the beginning of a type's name.
      const word = tokens.dotted('the name of a message')
      const streaming = word === 'stream' && tokens.peek().text !== ')'
      const type = streaming ? tokens.dotted('the name of a message') : word
      tokens.expect(')')
      return { type, streaming }
    }
    const input = side()
    tokens.expect('returns')
    const output = side()
    const options: ProtoOption[] = []
    if (tokens.accept('{')) {
      while (!tokens.accept('}')) {
        if (tokens.accept(';')) continue
        tokens.expect('option')
        options.push(this.option())
      }
    } else tokens.expect(';')
    return {
      name,
      inputType: input.type,
      outputType: output.type,
      clientStreaming: input.streaming,
      serverStreaming: output.streaming,
      options,
    }
  }

  // ── options, ranges ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Behind the word `option`, with its semicolon. */
  private option(): ProtoOption {
    const option = this.assignment()
    this.tokens.expect(';')
    return option
  }

  /** `[a = 1, b = 2]`, if there. */
  private fieldOptions(): ProtoOption[] {
    const options: ProtoOption[] = []
    if (!this.tokens.accept('[')) return options
    do options.push(this.assignment())
    while (this.tokens.accept(','))
    this.tokens.expect(']')
    return options
  }

  private assignment(): ProtoOption {
    const { tokens } = this
    let name = ''
    do {
      if (tokens.accept('(')) {
        name += `${name === '' ? '' : '.'}(${tokens.dotted('the name of an option')})`
        tokens.expect(')')
      } else name += `${name === '' ? '' : '.'}${tokens.word('the name of an option')}`
    } while (tokens.accept('.'))
    tokens.expect('=')
    return { name, value: this.value() }
  }

  private value(): string {
    const { tokens } = this
    const token = tokens.next()
    if (token.kind === 'text') {
      let text = token.text.slice(1, -1)
      while (tokens.peek().kind === 'text') text += tokens.next().text.slice(1, -1)
      return `"${text}"`
    }
    if (token.text === '-' || token.text === '+') return `${token.text === '-' ? '-' : ''}${tokens.next().text}`
    if (token.kind === 'word' || token.kind === 'number') return token.text
    if (token.text !== '{') throw unexpected(token, 'the value of an option')
    const words = ['{']
    for (let open = 1; open > 0; ) {
      const part = tokens.next()
      if (part.kind === 'end') throw unexpected(part, "'}'")
      if (part.text === '{') open++
      if (part.text === '}') open--
      words.push(part.text)
    }
    return words.join(' ')
  }

  private ranges(max: number): ProtoRange[] {
    const { tokens } = this
    const ranges: ProtoRange[] = []
    do {
      const from = tokens.integer('a number')
      let to = from
      if (tokens.accept('to')) to = tokens.accept('max') ? max : tokens.integer("a number or 'max'")
      ranges.push({ from, to })
    } while (tokens.accept(','))
    return ranges
  }

  private reserved(ranges: ProtoRange[], names: string[], max: number): void {
    const { tokens } = this
    if (tokens.peek().kind === 'number' || tokens.peek().text === '-') ranges.push(...this.ranges(max))
    else {
      // Editions reserve names without quotes.
      do names.push(tokens.peek().kind === 'word' ? tokens.word('a name') : tokens.string('a name'))
      while (tokens.accept(','))
    }
    tokens.expect(';')
  }

  private enter(): void {
    if (++this.depth > MAX_DEPTH) throw new SchemaSyntaxError(`messages are nested more than ${MAX_DEPTH} deep`)
  }
}

function clash(message: ProtoMessage, field: ProtoField, same: ProtoField): string {
  if (field.name === same.name) return `message ${message.name} has the field "${field.name}" twice`
  return `fields "${same.name}" and "${field.name}" of message ${message.name} have the same number ${field.number}`
}
