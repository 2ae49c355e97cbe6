import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './messages.fuzz.ts'

test('a few thousand hostile frames end in a value or a DecodeError', () => {
  const { decoded, refused } = fuzz(5000, 1)
  // Both must be common, or the mutations are too strong or too weak to find anything.
  assert.ok(decoded > 500, `only ${decoded} decoded`)
  assert.ok(refused > 500, `only ${refused} refused`)
})
