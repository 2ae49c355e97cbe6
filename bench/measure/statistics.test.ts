import assert from 'node:assert/strict'
import { test } from 'node:test'
import { display, median, summarize } from './statistics.ts'

test('the median of an even number of rounds lies between the middle two', () => {
  assert.equal(median([9, 1, 5]), 5)
  assert.equal(median([10, 1, 9, 2]), 5.5)
  assert.throws(() => median([]), RangeError)
})

test('a summary keeps the rounds in their order beside what is made of them', () => {
  assert.deepEqual(summarize([3, 1, 2]), { median: 2, min: 1, max: 3, rounds: [3, 1, 2] })
})

test('figures show three significant digits', () => {
  assert.deepEqual([1234567, 99.95, 12.345, 0.012345, 0, Number.NaN].map(display), [
    '1,230,000',
    '100',
    '12.3',
    '0.0123',
    '0',
    '–',
  ])
})
