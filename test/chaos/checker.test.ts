// The checker on small histories, one per anomaly: it finds each, and nothing in a history that is as it should be.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from './checker.ts'
import type { History, Isolation, Operation, Read } from './history.ts'

const K = 't/0'
const L = 't/1'

/** `a@0`: value and offset; of partition 0 unless `t/1:a@0`. */
function reads(text: string): Read[] {
  return text
    .split(' ')
    .filter(Boolean)
    .map((word) => {
      const [, key = K, value, offset] = /^(?:(.*):)?(\w+)@(\d+)$/.exec(word)!
      return { key, value, offset: Number(offset) }
    })
}

class Scribe {
  readonly operations: Operation[] = []
  private now = 0

  add(operation: Omit<Operation, 'start' | 'end' | 'type'> & { type?: Operation['type'] }): this {
    this.operations.push({ type: 'ok', ...operation, start: this.now++, end: this.now++ })
    return this
  }

  send(process: string, value: string, offset: number | null, type: Operation['type'] = 'ok', key = K): this {
    return this.add({ process, f: 'send', type, sends: [{ key, value, offset }] })
  }

  poll(process: string, what: string, isolation: Isolation = 'read_committed'): this {
    return this.add({ process, f: 'poll', reads: reads(what), isolation })
  }

  txn(process: string, written: string, type: Operation['type'], read = ''): this {
    return this.add({ process, f: 'txn', type, sends: reads(written), reads: reads(read), isolation: 'read_committed' })
  }

  end(committed: string, uncommitted = committed): History {
    return { operations: this.operations, final: { read_committed: reads(committed), read_uncommitted: reads(uncommitted) } }
  }
}

const scribe = () => new Scribe()
const names = (history: History) => [...new Set(check(history).map(({ name }) => name))].sort()

test('a history without faults is clean: pipelined sends, unknown outcomes, aborts and holes included', () => {
  const history = scribe()
    .send('p1', 'a', 0)
    .send('p1', 'b', null, 'info')
    .send('p1', 'c', 2)
    .send('p1', 'never', null, 'info')
    .txn('x1', `d@3 ${L}:e@0`, 'ok')
    .txn('x1', 'f@5', 'fail')
    .txn('x2', `g@7 ${L}:h@2`, 'info', 'd@3')
    .poll('c1', 'a@0 b@1')
    .poll('c1', 'c@2 d@3 g@7')
    .poll('c2', 'c@2 d@3 f@5', 'read_uncommitted')
    .add({ process: 'c2', f: 'assign' })
    .poll('c2', 'a@0', 'read_uncommitted')
    .add({ process: 'g1', f: 'commit', group: 'g', positions: [{ key: K, offset: 2 }] })
    .add({ process: 'g1', f: 'commit', group: 'g', type: 'info', positions: [{ key: K, offset: 5 }] })
    .add({ process: 'g2', f: 'resume', group: 'g', positions: [{ key: K, offset: 2 }] })
    .end(`a@0 b@1 c@2 d@3 g@7 ${L}:e@0 ${L}:h@2`, `a@0 b@1 c@2 d@3 f@5 g@7 ${L}:e@0 ${L}:h@2`)
  assert.deepEqual(check(history), [])
})

const bad: [name: string, title: string, history: History][] = [
  [
    'inconsistent-offsets',
    'two readers see different values at one offset',
    scribe().poll('c1', 'a@0').poll('c2', 'b@0').end('a@0 b@1'),
  ],
  ['inconsistent-offsets', 'an acknowledged offset holds another value', scribe().send('p', 'a', 0).end('b@0 a@1')],
  ['duplicate', 'a value was written twice', scribe().send('p', 'a', 0).end('a@0 a@1')],
  ['duplicate', 'a value is in two partitions', scribe().send('p', 'a', 0).end(`a@0 ${L}:a@0`)],
  ['lost-write', 'an acknowledged record is gone', scribe().send('p', 'a', 0).send('p', 'b', 1).end('a@0')],
  ['lost-write', 'a committed transaction is gone', scribe().txn('x', 'a@0', 'ok').end('')],
  ['vanished-read', 'what was read is gone', scribe().send('p', 'a', null, 'info').poll('c', 'a@0').end('')],
  ['aborted-read', 'a reader of committed data saw an aborted record', scribe().txn('x', 'a@0', 'fail').poll('c', 'a@0').end('')],
  ['aborted-read', 'an aborted record is there in the end', scribe().txn('x', 'a@0', 'fail').end('a@0')],
  ['precommitted-read', 'a transaction read what it wrote', scribe().txn('x', 'a@0', 'ok', 'a@0').end('a@0')],
  [
    'precommitted-read',
    'a value was read before its transaction began',
    scribe().poll('c', 'a@0').txn('x', 'a@0', 'ok').end('a@0'),
  ],
  ['torn-transaction', 'half of a transaction of unknown outcome is there', scribe().txn('x', `a@0 ${L}:b@0`, 'info').end('a@0')],
  ['poll-skip', 'a reader passed over a record between polls', scribe().poll('c', 'a@0').poll('c', 'c@2').end('a@0 b@1 c@2')],
  ['int-poll-skip', 'a reader passed over a record in a poll', scribe().poll('c', 'a@0 c@2').end('a@0 b@1 c@2')],
  ['nonmonotonic-poll', 'a reader went back', scribe().poll('c', 'a@0 b@1').poll('c', 'a@0').end('a@0 b@1')],
  ['int-nonmonotonic-poll', 'a poll was out of order', scribe().poll('c', 'b@1 a@0').end('a@0 b@1')],
  [
    'nonmonotonic-send',
    'a later record is in front of an earlier one',
    scribe().send('p', 'a', 1).send('p', 'b', 0).end('b@0 a@1'),
  ],
  ['nonmonotonic-send', 'records of a transaction are out of order', scribe().txn('x', 'a@1 b@0', 'ok').end('b@0 a@1')],
]
for (const [name, title, history] of bad) {
  test(`${name}: ${title}`, () => assert.ok(names(history).includes(name as never), `found: ${names(history)}`))
}

test('an anomaly is told as itself: a lost write is nothing else besides', () => {
  assert.deepEqual(names(scribe().send('p', 'a', 0).send('p', 'b', 1).end('a@0')), ['lost-write'])
  assert.deepEqual(names(scribe().txn('x', `a@0 ${L}:b@0`, 'info').end('a@0')), ['torn-transaction'])
  assert.deepEqual(names(scribe().poll('c', 'a@0').poll('c', 'c@2').end('a@0 b@1 c@2')), ['poll-skip'])
})

test('G1c: two transactions that have each read what the other wrote', () => {
  const history = scribe().txn('x', 'a@0', 'ok', `${L}:b@0`).txn('y', `${L}:b@0`, 'ok', 'a@0').end(`a@0 ${L}:b@0`)
  assert.ok(names(history).includes('G1c'))
  const chain = scribe().txn('x', 'a@0', 'ok').txn('y', `${L}:b@0`, 'ok', 'a@0').txn('x', 'c@1', 'ok', `${L}:b@0`)
  assert.deepEqual(names(chain.end(`a@0 c@1 ${L}:b@0`)), [])
})

test('copies: each record of the source exactly once', () => {
  const copier = (...copies: [value: string, offset: number, of: string][]) =>
    scribe()
      .send('p', 'a', 0)
      .send('p', 'b', 1)
      .add({
        process: 'x',
        f: 'txn',
        reads: reads('a@0'),
        isolation: 'read_committed',
        sends: copies.map(([value, offset, copyOf]) => ({ key: L, value, offset, copyOf })),
      })
  assert.deepEqual(names(copier(['c', 0, 'a'], ['d', 1, 'b']).end(`a@0 b@1 ${L}:c@0 ${L}:d@1`)), [])
  assert.deepEqual(names(copier(['c', 0, 'a'], ['d', 1, 'b'], ['e', 2, 'a']).end(`a@0 b@1 ${L}:c@0 ${L}:d@1 ${L}:e@2`)), [
    'copied-twice',
  ])
  assert.deepEqual(names(copier(['c', 0, 'a']).end(`a@0 b@1 ${L}:c@0`)), ['not-copied'])
})

test('lost-position: a group goes on from before what it had committed', () => {
  const position = (offset: number) => ({ group: 'g', positions: [{ key: K, offset }] })
  const history = scribe()
    .add({ process: 'g1', f: 'commit', ...position(5) })
    .add({ process: 'g2', f: 'resume', ...position(3) })
  assert.deepEqual(names(history.end('')), ['lost-position'])
})
