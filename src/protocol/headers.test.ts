import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError, Reader } from '../bytes/reader.ts'
import { decodeResponseHeader, encodeRequest, encodeResponse, requestHeaderVersion, responseHeaderVersion } from './headers.ts'
import { Produce } from './messages/00-produce.ts'
import { Heartbeat } from './messages/12-heartbeat.ts'
import { SaslHandshake } from './messages/17-sasl-handshake.ts'
import { ApiVersions } from './messages/18-api-versions.ts'
import { decodeRequestHeader } from './request-header.ts'

const body = { groupId: 'g', generationId: 1, memberId: 'm' }

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

test('a header has tags where the message is flexible', () => {
  assert.equal(requestHeaderVersion(Heartbeat, 3), 1)
  assert.equal(requestHeaderVersion(Heartbeat, 4), 2)
  assert.equal(responseHeaderVersion(Heartbeat, 3), 0)
  assert.equal(responseHeaderVersion(Heartbeat, 4), 1)
  assert.equal(requestHeaderVersion(SaslHandshake, 1), 1)
})

test('the answer to ApiVersions never has tags in its header', () => {
  assert.equal(requestHeaderVersion(ApiVersions, 4), 2)
  assert.equal(responseHeaderVersion(ApiVersions, 4), 0)
  const frame = Buffer.concat(encodeResponse(ApiVersions, 3, 9, { errorCode: 0, apiKeys: [] }))
  //                           length    id        error compact array, throttle time, tags
  assert.deepEqual(frame, bytes('0000000c 00000009 0000 01 00000000 00'))
})

test('the client id keeps its int16 of length in a flexible header', () => {
  const frame = Buffer.concat(encodeRequest(Heartbeat, 4, 9, 'me', body))
  assert.deepEqual(frame.subarray(0, 17), bytes('00000017 000c 0004 00000009 0002 6d65 00'))
})

test('a null client id is written as -1 and read as null', () => {
  const frame = Buffer.concat(encodeRequest(Heartbeat, 0, 9, null, body))
  const reader = new Reader(frame, 4)
  assert.equal(decodeRequestHeader(reader).clientId, null)
  assert.equal(Heartbeat.request.decode(reader, 0).groupId, 'g')
})

test('unknown tags in headers are passed over', () => {
  const request = new Reader(bytes('000c 0004 00000009 ffff 02 00 01 ff 64 00 aa'))
  assert.equal(decodeRequestHeader(request).api, Heartbeat)
  assert.equal(request.remaining, 1)
  const response = new Reader(bytes('00000009 01 05 02 ffff aa'))
  assert.equal(decodeResponseHeader(response, Heartbeat, 4), 9)
  assert.equal(response.remaining, 1)
})

test('the header of an unknown key, and of a version from the future, still tells who asks for what', () => {
  const unknown = decodeRequestHeader(new Reader(bytes('03e7 0000 00000009 0001 61')))
  assert.deepEqual(unknown, { apiKey: 999, apiVersion: 0, correlationId: 9, clientId: 'a', api: undefined })
  const reader = new Reader(bytes('0012 0063 00000009 0001 61 00 ffffff'))
  const future = decodeRequestHeader(reader)
  assert.equal(future.api, ApiVersions)
  assert.equal(future.apiVersion, 99)
  assert.equal(reader.remaining, 3)
})

test('a header that ends too early, or has a client id of negative length, is a DecodeError', () => {
  const frame = Buffer.concat(encodeRequest(Heartbeat, 4, 9, 'me', body))
  for (let length = 0; length < 13; length++) {
    assert.throws(() => decodeRequestHeader(new Reader(frame.subarray(4, 4 + length))), DecodeError)
  }
  assert.throws(() => decodeRequestHeader(new Reader(bytes('000c 0004 00000009 fffe'))), DecodeError)
})

test('records go into the frame without a copy', () => {
  const records = Buffer.alloc(5000, 1)
  const chunks = encodeRequest(Produce, 9, 1, null, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1,
    topicData: [{ name: 't', partitionData: [{ index: 0, records }] }],
  })
  assert.ok(chunks.includes(records))
  assert.equal(
    chunks[0].readInt32BE(0),
    chunks.reduce((sum, chunk) => sum + chunk.length, -4),
  )
})
