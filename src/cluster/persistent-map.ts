// A map that never changes: `with` gives a new one, in time proportional to the change. One version at a time holds the one real
// Map; every other knows how it differs from a version nearer to that one (Baker's trick). Reading the newest, which is what a
// broker does all the time, costs as much as a Map; an old version that somebody still holds answers as it always did, only
// slower. To grow another version from an old one first moves the Map back to it.

/** The version that holds the Map. */
type Root<K, V> = { readonly map: Map<K, V> }
/** A version that reads as `next`, but for what stood `before` under some keys. `undefined` among the values: the key was absent here. */
type Difference<K, V> = { readonly before: ReadonlyMap<K, V | undefined>; readonly next: PersistentMap<K, V> }

export class PersistentMap<K, V> {
  private node: Root<K, V> | Difference<K, V>
  readonly size: number

  private constructor(map: Map<K, V>) {
    this.node = { map }
    this.size = map.size
  }

  static empty<K, V>(): PersistentMap<K, V> {
    return new PersistentMap(new Map())
  }

  get(key: K): V | undefined {
    let node = this.node
    while (!('map' in node)) {
      if (node.before.has(key)) return node.before.get(key)
      node = node.next.node
    }
    return node.map.get(key)
  }

  has(key: K): boolean {
    return this.get(key) !== undefined
  }

  /** Copied, so that it may be held while newer versions are made. */
  entries(): [K, V][] {
    if ('map' in this.node) return [...this.node.map]
    const differences: Difference<K, V>[] = []
    let node = this.node as Root<K, V> | Difference<K, V>
    for (; !('map' in node); node = node.next.node) differences.push(node)
    const map = new Map(node.map)
    for (const { before } of differences.reverse()) put(map, before)
    return [...map]
  }

  values(): V[] {
    return 'map' in this.node ? [...this.node.map.values()] : this.entries().map(([, value]) => value)
  }

  /** This map with some keys set, and those removed whose value is undefined. */
  with(changes: ReadonlyMap<K, V | undefined>): PersistentMap<K, V> {
    if (changes.size === 0) return this
    const map = this.takeMap()
    const before = new Map<K, V | undefined>()
    for (const key of changes.keys()) before.set(key, map.get(key))
    put(map, changes)
    const next = new PersistentMap(map)
    this.node = { before, next }
    return next
  }

  /** Turns the differences around between this version and the one that holds the Map. */
  private takeMap(): Map<K, V> {
    const path: PersistentMap<K, V>[] = []
    let holder: PersistentMap<K, V> = this
    while (!('map' in holder.node)) {
      path.push(holder)
      holder = holder.node.next
    }
    const { map } = holder.node
    for (const version of path.reverse()) {
      const { before } = version.node as Difference<K, V>
      const after = new Map<K, V | undefined>()
      for (const key of before.keys()) after.set(key, map.get(key))
      put(map, before)
      holder.node = { before: after, next: version }
      version.node = { map }
      holder = version
    }
    return map
  }
}

function put<K, V>(map: Map<K, V>, changes: ReadonlyMap<K, V | undefined>): void {
  for (const [key, value] of changes) {
    if (value === undefined) map.delete(key)
    else map.set(key, value)
  }
}
