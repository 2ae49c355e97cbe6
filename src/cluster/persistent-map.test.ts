import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../host/random.ts'
import { PersistentMap } from './persistent-map.ts'

test('every version answers as it always did, whichever of them the next is made from', () => {
  const random = seededRandom(3)
  const versions: [PersistentMap<number, number>, Map<number, number>][] = [[PersistentMap.empty(), new Map()]]
  for (let i = 0; i < 400; i++) {
    const newest = random.u32() % 3 > 0
    const [map, model] = versions[newest ? versions.length - 1 : random.u32() % versions.length]
    const changes = new Map<number, number | undefined>()
    for (let n = random.u32() % 4; n >= 0; n--) changes.set(random.u32() % 20, random.u32() % 3 === 0 ? undefined : random.u32())
    const nextModel = new Map(model)
    for (const [key, value] of changes) {
      if (value === undefined) nextModel.delete(key)
      else nextModel.set(key, value)
    }
    versions.push([map.with(changes), nextModel])

    const [anyMap, anyModel] = versions[random.u32() % versions.length]
    assert.equal(anyMap.size, anyModel.size)
    for (let key = 0; key < 20; key++) assert.equal(anyMap.get(key), anyModel.get(key))
    assert.deepEqual(new Map(anyMap.entries()), anyModel)
    assert.deepEqual(anyMap.values().sort(), [...anyModel.values()].sort())
  }
})

test('what was listed does not change with later versions', () => {
  const map = PersistentMap.empty<string, number>().with(new Map([['a', 1]]))
  const entries = map.entries()
  map.with(new Map([['a', 2]]))
  assert.deepEqual(entries, [['a', 1]])
})

test('a change of nothing is the same map', () => {
  const map = PersistentMap.empty<string, number>()
  assert.equal(map.with(new Map()), map)
})

test('a small change of a large map, and going back from one, does not cost what the map costs', () => {
  let map = PersistentMap.empty<number, number>().with(new Map(Array.from({ length: 200_000 }, (_, i) => [i, i])))
  // Copying 200,000 entries this often would take minutes.
  for (let i = 0; i < 20_000; i++) {
    map.with(new Map([[i, -1]]))
    map = map.with(new Map([[i, i + 1]]))
  }
  assert.equal(map.get(19_999), 20_000)
})
