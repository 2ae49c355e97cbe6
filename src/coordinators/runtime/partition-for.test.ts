import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionFor } from './partition-for.ts'

test('an id goes to the absolute value of its Java hash, modulo the partitions', () => {
  for (const [id, hash] of [
    ['', 0],
    ['a', 97],
    ['group', 98_629_247],
    ['payments', 1_382_682_413],
    ['my-group', -1_906_497_762],
    ['Hello World!', -969_099_747],
    ['žluťoučký', -1_512_236_005],
  ] as const) {
    assert.equal(partitionFor(id, 50), Math.abs(hash) % 50, id)
  }
})

test('a negative hash is made positive by its sign, not by masking a bit', () => {
  assert.notEqual(partitionFor('my-group', 50), (-1_906_497_762 & 0x7fff_ffff) % 50)
})

test('the one hash that has no absolute value goes to partition 0', () => {
  // The best-known string with hash -2^31; its magnitude modulo 50 would be 48.
  assert.equal(partitionFor('polygenelubricants', 50), 0)
})
