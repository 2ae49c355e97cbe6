import assert from 'node:assert/strict'
import { test } from 'node:test'
import { re2Pattern } from './re2-pattern.ts'

test('a pattern is RE2 and has to match the whole text', async () => {
  for (const [pattern, text, expected] of [
    ['a.*', 'abc', true],
    ['b', 'abc', false],
    ['a|ab', 'ab', true],
    ['(?i)ABC', 'abc', true],
    ['[[:alpha:]]+-\\pL{2}', 'x-äö', true],
    ['\\Qa.b\\E', 'a.b', true],
    ['\\Qa.b\\E', 'axb', false],
  ] as const) {
    assert.equal((await re2Pattern(pattern))(text), expected, `${pattern} and ${text}`)
  }
})

test('what is not RE2, or would take too much to compile, is no regular expression', async () => {
  const patterns = [
    '(',
    'a{2,1}',
    '(?=a)b',
    '(a)\\1',
    '(?<=a)b',
    '((a{100}){100}){100}',
    `${'('.repeat(400)}${')'.repeat(400)}x*+`,
    'x'.repeat(1_001),
  ]
  for (const pattern of patterns) {
    await assert.rejects(re2Pattern(pattern), { code: 'INVALID_REGULAR_EXPRESSION' }, pattern.slice(0, 20))
  }
})

test('a pattern that keeps backtracking engines busy for hours is answered at once', async () => {
  assert.equal((await re2Pattern('(x+x+)+y'))('x'.repeat(5_000)), false)
})
