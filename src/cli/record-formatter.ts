// How kafka-console-consumer prints a record: the fields asked for, in a fixed order, or, for records of internal topics, JSON.

import type { ConsumerRecord } from '../client/fetched-records.ts'
import type { Properties } from './client-properties.ts'
import { UsageError } from './tool.ts'

export interface RecordFormatter {
  /** The bytes to print; none for records that this formatter skips. */
  format(record: ConsumerRecord): Buffer
}

type Deserializer = (bytes: Buffer) => string

/** Kafka's deserializers by the last part of their names: people give the class with or without its package. */
const deserializers: Readonly<Record<string, Deserializer>> = {
  StringDeserializer: (bytes) => bytes.toString('utf8'),
  ByteArrayDeserializer: (bytes) => bytes.toString('utf8'),
  BytesDeserializer: (bytes) => bytes.toString('utf8'),
  ShortDeserializer: (bytes) => String(sized(bytes, 2).readInt16BE(0)),
  IntegerDeserializer: (bytes) => String(sized(bytes, 4).readInt32BE(0)),
  LongDeserializer: (bytes) => String(sized(bytes, 8).readBigInt64BE(0)),
  FloatDeserializer: (bytes) => String(sized(bytes, 4).readFloatBE(0)),
  DoubleDeserializer: (bytes) => String(sized(bytes, 8).readDoubleBE(0)),
  BooleanDeserializer: (bytes) => String(sized(bytes, 1)[0] !== 0),
  UUIDDeserializer: (bytes) => bytes.toString('utf8'),
}

function sized(bytes: Buffer, size: number): Buffer {
  if (bytes.length !== size) throw new RangeError(`${bytes.length} bytes where the deserializer wants ${size}`)
  return bytes
}

const KNOWN = new Set([
  'print.timestamp',
  'print.partition',
  'print.offset',
  'print.delivery',
  'print.epoch',
  'print.headers',
  'print.key',
  'print.value',
  'key.separator',
  'line.separator',
  'headers.separator',
  'null.literal',
  'key.deserializer',
  'value.deserializer',
  'headers.deserializer',
])

/** Text and raw bytes: values go out as they came in, whatever encoding they are in. */
export class DefaultRecordFormatter implements RecordFormatter {
  private readonly properties: Properties
  private readonly keySeparator: Buffer
  private readonly lineSeparator: Buffer
  private readonly headersSeparator: Buffer
  private readonly nullLiteral: Buffer
  private readonly fields: readonly ((record: ConsumerRecord) => (string | Buffer)[])[]

  /** Throws UsageError for properties that are none. */
  constructor(properties: Properties) {
    for (const key of properties.keys()) {
      const isOfDeserializer = /^(key|value|headers)\.deserializer\./.test(key)
      if (!KNOWN.has(key) && !isOfDeserializer) throw new UsageError(`unknown formatter property ${key}`)
    }
    this.properties = properties
    const bytes = (key: string, fallback: string) => Buffer.from(properties.get(key) ?? fallback)
    this.keySeparator = bytes('key.separator', '\t')
    this.lineSeparator = bytes('line.separator', '\n')
    this.headersSeparator = bytes('headers.separator', ',')
    this.nullLiteral = bytes('null.literal', 'null')
    this.fields = this.chosenFields()
  }

  format(record: ConsumerRecord): Buffer {
    const pieces: Buffer[] = []
    for (const [index, field] of this.fields.entries()) {
      if (index > 0) pieces.push(this.keySeparator)
      for (const piece of field(record)) pieces.push(typeof piece === 'string' ? Buffer.from(piece) : piece)
    }
    if (pieces.length > 0) pieces.push(this.lineSeparator)
    return Buffer.concat(pieces)
  }

  private chosenFields() {
    const wants = (key: string, fallback = 'false') => (this.properties.get(key) ?? fallback).trim().toLowerCase() === 'true'
    const key = this.content('key.deserializer')
    const value = this.content('value.deserializer')
    const header = this.content('headers.deserializer')
    const fields: ((record: ConsumerRecord) => (string | Buffer)[])[] = []
    if (wants('print.timestamp')) {
      fields.push(({ timestampType, timestamp }) => [
        timestampType === 'NoTimestampType' ? 'NO_TIMESTAMP' : `${timestampType}:${timestamp}`,
      ])
    }
    if (wants('print.partition')) fields.push(({ partition }) => [`Partition:${partition}`])
    if (wants('print.offset')) fields.push(({ offset }) => [`Offset:${offset}`])
    // Only share groups count deliveries.
    if (wants('print.delivery')) fields.push(() => ['Delivery:NOT_PRESENT'])
    if (wants('print.epoch')) fields.push(({ leaderEpoch }) => [`Epoch:${leaderEpoch < 0 ? 'NOT_PRESENT' : leaderEpoch}`])
    if (wants('print.headers')) {
      fields.push(({ headers }) =>
        headers.length === 0
          ? ['NO_HEADERS']
          : headers.flatMap((entry, index) => [
              ...(index > 0 ? [this.headersSeparator] : []),
              `${entry.key}:`,
              header(entry.value),
            ]),
      )
    }
    if (wants('print.key')) fields.push((record) => [key(record.key)])
    if (wants('print.value', 'true')) fields.push((record) => [value(record.value)])
    return fields
  }

  private content(property: string): (bytes: Buffer | null) => Buffer | string {
    const name = this.properties.get(property)
    if (name === undefined) return (bytes) => bytes ?? this.nullLiteral
    const deserializer = deserializers[name.slice(name.lastIndexOf('.') + 1)]
    if (deserializer === undefined) {
      throw new UsageError(`${property}=${name}: known are ${Object.keys(deserializers).join(', ')}`)
    }
    return (bytes) => (bytes === null ? this.nullLiteral : deserializer(bytes))
  }
}

/** By the name of Kafka's class, with or without its package. Throws UsageError for others. */
export async function recordFormatter(className: string, properties: Properties): Promise<RecordFormatter> {
  const name = className.slice(className.lastIndexOf('.') + 1)
  switch (name) {
    case 'DefaultMessageFormatter':
      return new DefaultRecordFormatter(properties)
    case 'NoOpMessageFormatter':
      return { format: () => Buffer.alloc(0) }
    case 'OffsetsMessageFormatter':
    case 'GroupMetadataMessageFormatter': {
      const { groupRecordFormatter } = await import('./group-record-formatter.ts')
      return groupRecordFormatter(name)
    }
    default:
      throw new UsageError(`--formatter ${className}: there is no such formatter`)
  }
}
