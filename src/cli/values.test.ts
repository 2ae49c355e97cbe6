import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe } from './broker-api-versions.ts'
import { clientOptions, consumerOptions, producerOptions } from './client-properties.ts'
import { parseAdded } from './configs.ts'
import { parseTargets } from './delete-records.ts'
import { parseCsv, parseDateTime, parseDuration, toCsv } from './offset-reset.ts'
import { keyValues } from './tool.ts'
import { topicPattern } from './topic-pattern.ts'

test('configuration to add: commas and equals signs in brackets belong to the value', () => {
  const entries = (list: string) => Object.fromEntries(parseAdded(list))
  assert.deepEqual(entries('a=1,b=[x,y], c = 3 '), { a: '1', b: 'x,y', c: '3' })
  assert.deepEqual(entries('SCRAM=[iterations=8192,password=p]'), { SCRAM: 'iterations=8192,password=p' })
  assert.deepEqual(entries('empty='), { empty: '' })
  assert.throws(() => parseAdded('a'), /must be in the format "key=val"/)
  assert.throws(() => parseAdded('a=b=c'), /must be in the format "key=val"/)
})

test('times are in UTC unless they name their zone', () => {
  assert.equal(parseDateTime('1970-01-01T00:00:01.500'), 1500n)
  assert.equal(parseDateTime('1970-01-01T00:00:01'), 1000n)
  assert.equal(parseDateTime('1970-01-01T02:00:00.000+02:00'), 0n)
  assert.equal(parseDateTime('1970-01-01T02:00:00.000+0200'), 0n)
  assert.equal(parseDateTime('1970-01-01T00:00:00.000Z'), 0n)
  for (const text of ['yesterday', '1970-01-01', '1970-13-01T00:00:00.000']) assert.throws(() => parseDateTime(text), /is meant/)
})

test('durations are those of ISO 8601, in days and less', () => {
  assert.equal(parseDuration('P1D'), 86_400_000n)
  assert.equal(parseDuration('PT1H30M'), 5_400_000n)
  assert.equal(parseDuration('P1DT1.5S'), 86_401_500n)
  assert.equal(parseDuration('-PT1S'), -1000n)
  for (const text of ['P', 'PT', 'P1DT', 'P1Y', '1D', '']) assert.throws(() => parseDuration(text), /is meant/)
})

test('a reset plan survives its way through a file', () => {
  const plan = new Map([
    ['g', [{ topic: 'a,b', partition: 0, offset: 5n }]],
    ['h', [{ topic: 't', partition: 1, offset: 2n ** 60n }]],
  ])
  assert.deepEqual(parseCsv(toCsv(plan, true), ['g', 'h']), plan)
  assert.deepEqual(parseCsv('t,1,7\n"t",2,8\n', ['g']).get('g'), [
    { topic: 't', partition: 1, offset: 7n },
    { topic: 't', partition: 2, offset: 8n },
  ])
  assert.throws(() => parseCsv('t,1,7\nt,x,8', ['g']), /line 2/)
  assert.throws(() => parseCsv('t,1,7', ['g', 'h']), /line 1/)
})

test('records to delete: the documented form, and no partition twice', () => {
  const entry = { topic: 't', partition: 0, offset: -1 }
  assert.deepEqual(parseTargets(JSON.stringify({ partitions: [entry], version: 1 })), [{ topic: 't', partition: 0, offset: -1n }])
  assert.throws(() => parseTargets('{'), /not a valid JSON/)
  assert.throws(() => parseTargets('null'), /Missing partitions field/)
  assert.throws(() => parseTargets('{"partitions":[],"version":2}'), /Not supported version field value 2/)
  assert.throws(() => parseTargets('{"partitions":[{"topic":"t"}]}'), /is meant/)
  assert.throws(() => parseTargets(JSON.stringify({ partitions: [entry, entry] })), /duplicate topic partitions: t-0/)
})

test('topics match by their whole name, and commas stand for alternatives', () => {
  const matches = topicPattern('orders, pay.*')
  assert.deepEqual(['orders', 'orders2', 'payments', 'repay'].map(matches), [true, false, true, false])
  assert.throws(() => topicPattern('('), /invalid regex/)
})

test('properties are checked before anything is done', () => {
  assert.equal(producerOptions(new Map([['acks', '-1']])).acks, 'all')
  assert.throws(() => producerOptions(new Map([['acks', '2']])), /acks=2/)
  assert.throws(() => producerOptions(new Map([['linger.ms', 'soon']])), /linger.ms=soon/)
  assert.equal(consumerOptions(new Map([['isolation.level', 'READ_COMMITTED']])).isolationLevel, 'read_committed')
  assert.throws(() => clientOptions(new Map([['security.protocol', 'SASL_SSL']])), /SASL_SSL/)
  assert.throws(() => keyValues(['novalue'], '--property'), /--property novalue: key=value is meant/)
  assert.deepEqual(keyValues(['key.separator=='], '--property').get('key.separator'), '=')
})

test('what a broker speaks is told with what this client can use of it', () => {
  const text = describe(
    new Map([
      [18, { min: 0, max: 4 }],
      [1, { min: 100, max: 101 }],
      [29, { min: 1, max: 3 }],
      [999, { min: 0, max: 0 }],
    ]),
  )
  assert.match(text, /^\(\n\tProduce\(0\): UNSUPPORTED,\n\tFetch\(1\): 100 to 101 \[unusable: node too new\],\n/)
  assert.match(text, /\n\tApiVersions\(18\): 0 to 4 \[usable: 4\],\n/)
  assert.match(text, /\n\tDescribeAcls\(29\): 1 to 3,\n/)
  assert.match(text, /\n\tUNKNOWN\(999\): 0\n\)$/)
})
