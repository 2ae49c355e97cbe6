import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SIPHASH_WORDS, siphash128 } from './siphash.ts'

const KEY = new Int32Array(Uint8Array.from({ length: 16 }, (_, i) => i).buffer)

function hashed(length: number): string {
  const out = new Int32Array(SIPHASH_WORDS)
  siphash128(
    Uint8Array.from({ length }, (_, i) => i),
    KEY,
    out,
  )
  return Buffer.from(out.buffer).toString('hex')
}

test("the hashes are those of the authors' vectors", () => {
  assert.equal(hashed(0), 'a3817f04ba25a8e66df67214c7550293')
  assert.equal(hashed(1), 'da87c1d86b99af44347659119b22fc45')
})

test('inputs of every length have hashes of their own, under every key', () => {
  const seen = new Set(Array.from({ length: 300 }, (_, length) => hashed(length)))
  assert.equal(seen.size, 300)
  const out = new Int32Array(SIPHASH_WORDS)
  siphash128(new Uint8Array(0), new Int32Array(4), out)
  assert.notEqual(Buffer.from(out.buffer).toString('hex'), hashed(0))
})
