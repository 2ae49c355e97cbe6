import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileSummary } from './profile.ts'

test('a profile is summed up by function, what waited left out', () => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 })
  const nodes = [
    { id: 1, callFrame: frame('(idle)') },
    { id: 2, callFrame: frame('append', 'file:///somewhere/src/log/append.ts') },
    { id: 3, callFrame: frame('append', 'file:///somewhere/src/log/append.ts') },
    { id: 4, callFrame: frame('') },
  ]
  assert.deepEqual(profileSummary({ nodes, samples: [1, 2, 3, 4], timeDeltas: [1e6, 1e6, 2e6, 1e6] }).split('\n'), [
    'busy for 4.0 s',
    '   75.0 %  append src/log/append.ts:10',
    '   25.0 %  (anonymous)',
    '',
  ])
})
