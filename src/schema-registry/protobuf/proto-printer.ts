// A .proto file as text, in one form: what the registry stores and hands out.

import type {
  ProtoEnum,
  ProtoExtension,
  ProtoField,
  ProtoFile,
  ProtoMessage,
  ProtoOption,
  ProtoRange,
  ProtoService,
} from './proto-file.ts'
import { MAX_FIELD_NUMBER } from './proto-file.ts'

export function printProto(file: ProtoFile): string {
  const isEdition = file.syntax !== 'proto2' && file.syntax !== 'proto3'
  const head = [`${isEdition ? 'edition' : 'syntax'} = "${file.syntax}";`]
  if (file.package !== '') head.push(`package ${file.package};`)
  const sections = [
    head,
    file.imports.map(({ path, kind }) => `import ${kind === undefined ? '' : `${kind} `}"${path}";`),
    file.options.map(optionLine),
    ...file.extensions.map(extension),
    ...file.messages.map(message),
    ...file.enums.map(enumeration),
    ...file.services.map(service),
  ]
  return `${sections
    .filter((section) => section.length > 0)
    .map((section) => section.join('\n'))
    .join('\n\n')}\n`
}

function message(of: ProtoMessage): string[] {
  return block(`message ${of.name}`, messageBody(of))
}

function messageBody(of: ProtoMessage): string[] {
  const groups = new Set(of.fields.filter(({ isGroup }) => isGroup).map(({ type }) => type))
  const seen = new Set<string>()
  return [
    ...of.options.map(optionLine),
    ...reserved(of.reservedRanges, of.reservedNames, MAX_FIELD_NUMBER),
    ...(of.extensionRanges.length > 0 ? [`extensions ${ranges(of.extensionRanges, MAX_FIELD_NUMBER)};`] : []),
    ...of.fields.flatMap((field) => {
      if (field.oneof === undefined) return fieldLines(field, of.messages)
      if (seen.has(field.oneof)) return []
      seen.add(field.oneof)
      const options = of.oneofs.find(({ name }) => name === field.oneof)?.options ?? []
      const members = of.fields.filter(({ oneof }) => oneof === field.oneof)
      return block(`oneof ${field.oneof}`, [
        ...options.map(optionLine),
        ...members.flatMap((member) => fieldLines(member, of.messages)),
      ])
    }),
    ...of.extensions.flatMap(extension),
    ...of.messages.filter(({ name }) => !groups.has(name)).flatMap(message),
    ...of.enums.flatMap(enumeration),
  ]
}

function fieldLines(field: ProtoField, messages: readonly ProtoMessage[]): string[] {
  const { label, keyType, type, number, options } = field
  const prefix = label === undefined ? '' : `${label} `
  const suffix = options.length === 0 ? '' : ` [${options.map(({ name, value }) => `${name} = ${value}`).join(', ')}]`
  if (field.isGroup) {
    const body = messages.find(({ name }) => name === type)
    return block(`${prefix}group ${type} = ${number}${suffix}`, body === undefined ? [] : messageBody(body))
  }
  return [`${prefix}${keyType === undefined ? type : `map<${keyType}, ${type}>`} ${field.name} = ${number}${suffix};`]
}

function enumeration(of: ProtoEnum): string[] {
  return block(`enum ${of.name}`, [
    ...of.options.map(optionLine),
    ...reserved(of.reservedRanges, of.reservedNames, 2 ** 31 - 1),
    ...of.values.map(({ name, number, options }) => {
      const suffix = options.length === 0 ? '' : ` [${options.map((option) => `${option.name} = ${option.value}`).join(', ')}]`
      return `${name} = ${number}${suffix};`
    }),
  ])
}

function extension(of: ProtoExtension): string[] {
  return block(
    `extend ${of.extendee}`,
    of.fields.flatMap((field) => fieldLines(field, [])),
  )
}

function service(of: ProtoService): string[] {
  return block(`service ${of.name}`, [
    ...of.options.map(optionLine),
    ...of.methods.flatMap((method) => {
      const input = `${method.clientStreaming ? 'stream ' : ''}${method.inputType}`
      const output = `${method.serverStreaming ? 'stream ' : ''}${method.outputType}`
      const head = `rpc ${method.name} (${input}) returns (${output})`
      return method.options.length === 0 ? [`${head};`] : block(head, method.options.map(optionLine))
    }),
  ])
}

function block(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}']
}

function optionLine({ name, value }: ProtoOption): string {
  return `option ${name} = ${value};`
}

function reserved(of: readonly ProtoRange[], names: readonly string[], max: number): string[] {
  return [
    ...(of.length > 0 ? [`reserved ${ranges(of, max)};`] : []),
    ...(names.length > 0 ? [`reserved ${names.map((name) => `"${name}"`).join(', ')};`] : []),
  ]
}

function ranges(of: readonly ProtoRange[], max: number): string {
  return of.map(({ from, to }) => (from === to ? `${from}` : `${from} to ${to === max ? 'max' : to}`)).join(', ')
}
