// What tools ask: describe, list and delete groups.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../protocol/error-codes.ts'
import { deleteGroup } from './delete-groups.ts'
import { describeGroup } from './describe-groups.ts'
import { listGroups } from './list-groups.ts'
import { errorOf, GROUP, protocols, Workbench } from './workbench.ts'

const describe = (bench: Workbench, groupId = GROUP, version = 5) => bench.take(describeGroup(bench.groups, groupId, version))
const list = (bench: Workbench, states: string[] = [], types: string[] = []) =>
  bench.take(listGroups(bench.groups, states, types))
const remove = (bench: Workbench, groupId = GROUP) => errorName(bench.take(deleteGroup(bench.groups, groupId)))

test('a stable group is described with what its members said and were assigned', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  assert.deepEqual(describe(bench), {
    groupId: GROUP,
    errorCode: 0,
    errorMessage: null,
    groupState: 'Stable',
    protocolType: 'consumer',
    protocolData: 'range',
    members: [
      {
        memberId: a,
        groupInstanceId: null,
        clientId: 'a',
        clientHost: '/10.0.0.1',
        memberMetadata: protocols('range')[0].metadata,
        memberAssignment: Buffer.from(a),
      },
    ],
  })
})

test('a group is described in each of its states by its exact name; unless it is stable with what was last assigned, without metadata', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  assert.equal(describe(bench).groupState, 'PreparingRebalance')
  bench.join('b again', { memberId: b })
  const completing = describe(bench)
  assert.equal(completing.groupState, 'CompletingRebalance')
  assert.equal(completing.protocolData, '')
  assert.deepEqual(
    completing.members.map((member) => [member.memberMetadata.length, String(member.memberAssignment)]),
    [
      [0, a],
      [0, b],
    ],
  )
  bench.leave({ memberId: a }, { memberId: b })
  assert.equal(describe(bench).groupState, 'Empty')
})

test('a group that is not there is dead, and from version 6 on an error', () => {
  const bench = new Workbench()
  const dead = describe(bench, 'nobody', 5)
  assert.equal(dead.groupState, 'Dead')
  assert.equal(errorOf(dead), 'NONE')
  const error = describe(bench, 'nobody', 6)
  assert.equal(error.groupState, 'Dead')
  assert.equal(errorOf(error), 'GROUP_ID_NOT_FOUND')
  assert.match(error.errorMessage ?? '', /nobody/)
})

test('groups are listed with their state and type, filtered without regard to case', () => {
  const bench = new Workbench()
  bench.stable(['a'])
  assert.deepEqual(list(bench), [{ groupId: GROUP, protocolType: 'consumer', groupState: 'Stable', groupType: 'classic' }])
  assert.equal(list(bench, ['stable', 'Empty'], ['Classic']).length, 1)
  assert.equal(list(bench, ['EMPTY']).length, 0)
  assert.equal(list(bench, [], ['consumer']).length, 0)
  assert.equal(list(bench, ['no such state']).length, 0)
})

test('a group that only commits is listed without a protocol', () => {
  const bench = new Workbench()
  bench.commit('t', 1n)
  assert.deepEqual(list(bench), [{ groupId: GROUP, protocolType: '', groupState: 'Empty', groupType: 'classic' }])
})

test('only an empty group can be deleted, and its offsets go with it', () => {
  const bench = new Workbench()
  assert.equal(remove(bench), 'GROUP_ID_NOT_FOUND')
  const [a] = bench.stable(['a'])
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  assert.equal(remove(bench), 'NON_EMPTY_GROUP')
  bench.leave({ memberId: a })
  assert.equal(remove(bench), 'NONE')
  for (const groups of [bench.groups, Workbench.restartedFrom(bench.log).groups]) {
    assert.equal(groups.get(GROUP), undefined)
    assert.equal(groups.offsets.hasAny(GROUP), false)
  }
  assert.equal(remove(bench), 'GROUP_ID_NOT_FOUND')
})

test('the timers of a deleted group do not disturb one of the same name', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  bench.leave({ memberId: a })
  bench.join('expected', { sessionTimeoutMs: 20_000 })
  assert.equal(remove(bench), 'NONE')
  const [b] = bench.stable(['b'], { sessionTimeoutMs: 600_000 })
  bench.advance(100_000)
  assert.equal(bench.heartbeat(b), 'NONE')
})
