// The checksum, by its published test values (RFC 3720, appendix B.4).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from './crc32c.ts'

test('the checksum is CRC-32C, unsigned', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
  assert.equal(crc32c(Buffer.alloc(0)), 0)
})

test('the checksum of pieces is that of the whole', () => {
  const whole = Buffer.from('a batch that arrived in pieces')
  for (let cut = 0; cut <= whole.length; cut++) {
    assert.equal(crc32c(whole.subarray(cut), crc32c(whole.subarray(0, cut))), crc32c(whole))
  }
})
