import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConsumerRecord } from '../client/fetched-records.ts'
import { GroupMetadataRecord, OffsetCommitRecord } from '../protocol/internal-records/group-records.ts'
import { recordFormatter } from './record-formatter.ts'

const record: ConsumerRecord = {
  topic: 't',
  partition: 3,
  offset: 42n,
  timestamp: 1000n,
  timestampType: 'CreateTime',
  leaderEpoch: 7,
  key: Buffer.from('k'),
  value: Buffer.from('v'),
  headers: [
    { key: 'a', value: Buffer.from('1') },
    { key: 'b', value: null },
  ],
}

async function format(properties: Record<string, string>, fields: Partial<ConsumerRecord> = {}): Promise<string> {
  const formatter = await recordFormatter('DefaultMessageFormatter', new Map(Object.entries(properties)))
  return formatter.format({ ...record, ...fields }).toString()
}

const ALL = Object.fromEntries(
  ['timestamp', 'partition', 'offset', 'delivery', 'epoch', 'headers', 'key', 'value'].map((field) => [`print.${field}`, 'true']),
)

test('only the value is printed unless more is asked for', async () => {
  assert.equal(await format({}), 'v\n')
  assert.equal(await format({ 'print.value': 'false' }), '')
  assert.equal(await format({ 'print.value': 'false', 'print.key': 'true' }), 'k\n')
})

test('fields come in a fixed order', async () => {
  assert.equal(await format(ALL), 'CreateTime:1000\tPartition:3\tOffset:42\tDelivery:NOT_PRESENT\tEpoch:7\ta:1,b:null\tk\tv\n')
})

test('what is missing has a word of its own', async () => {
  const missing = {
    timestamp: -1n,
    timestampType: 'NoTimestampType',
    headers: [],
    key: null,
    value: null,
    leaderEpoch: -1,
  } as const
  const shown = {
    'print.timestamp': 'true',
    'print.epoch': 'true',
    'print.headers': 'true',
    'print.key': 'true',
    'null.literal': '<none>',
  }
  assert.equal(await format(shown, missing), 'NO_TIMESTAMP\tEpoch:NOT_PRESENT\tNO_HEADERS\t<none>\t<none>\n')
})

test('separators are as given', async () => {
  const shown = {
    'print.key': 'true',
    'print.headers': 'true',
    'key.separator': ' | ',
    'headers.separator': ';',
    'line.separator': '$',
  }
  assert.equal(await format(shown), 'a:1;b:null | k | v$')
})

test('values that are no text go out byte by byte', async () => {
  const bytes = Buffer.from([0xff, 0x00, 0xfe])
  const formatter = await recordFormatter('DefaultMessageFormatter', new Map())
  assert.deepEqual(formatter.format({ ...record, value: bytes }), Buffer.from([0xff, 0x00, 0xfe, 0x0a]))
})

test('deserializers turn bytes into numbers', async () => {
  const name = 'org.apache.kafka.common.serialization.LongDeserializer'
  const value = Buffer.alloc(8)
  value.writeBigInt64BE(-5n)
  assert.equal(await format({ 'value.deserializer': name }, { value }), '-5\n')
  await assert.rejects(format({ 'value.deserializer': name }), /1 bytes where the deserializer wants 8/)
  await assert.rejects(format({ 'value.deserializer': 'MyDeserializer' }), /known are StringDeserializer/)
})

test('unknown properties and formatters are refused', async () => {
  await assert.rejects(format({ 'print.keys': 'true' }), /unknown formatter property print.keys/)
  await assert.rejects(recordFormatter('com.example.Mine', new Map()), /there is no such formatter/)
})

test('positions of groups are printed as JSON, and all other records skipped', async () => {
  const formatter = await recordFormatter('org.apache.kafka.tools.consumer.OffsetsMessageFormatter', new Map())
  const key = OffsetCommitRecord.encodeKey({ group: 'g', topic: 't', partition: 0 })
  const value = OffsetCommitRecord.encodeValue({ offset: 2n ** 60n, metadata: '', commitTimestamp: 5n })
  assert.equal(
    formatter.format({ ...record, key, value }).toString(),
    '{"key":{"type":1,"data":{"group":"g","topic":"t","partition":0}},"value":{"version":3,"data":{"offset":1152921504606846976,"leaderEpoch":-1,"metadata":"","commitTimestamp":5}}}\n',
  )
  assert.match(formatter.format({ ...record, key, value: null }).toString(), /,"value":null\}\n$/)
  const group = GroupMetadataRecord.encodeKey({ group: 'g' })
  assert.equal(formatter.format({ ...record, key: group, value: null }).length, 0)
})
