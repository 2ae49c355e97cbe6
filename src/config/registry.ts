// All keys by name. The only place that knows which keys there are.

import type { ConfigDefinition, Value } from './definition.ts'
import { CLUSTER_KEYS } from './keys/cluster.ts'
import { GROUP_BROKER_KEYS, GROUP_KEYS } from './keys/groups.ts'
import { METADATA_STORE_KEYS } from './keys/metadata-store.ts'
import { NETWORK_KEYS } from './keys/network.ts'
import { QUOTA_KEYS } from './keys/quotas.ts'
import { SECURITY_KEYS } from './keys/security.ts'
import { STORAGE_KEYS } from './keys/storage.ts'
import { TOPIC_KEYS } from './keys/topic.ts'
import { TRANSACTION_KEYS } from './keys/transactions.ts'

const BROKER_KEYS = {
  ...NETWORK_KEYS,
  ...STORAGE_KEYS,
  ...CLUSTER_KEYS,
  ...METADATA_STORE_KEYS,
  ...GROUP_BROKER_KEYS,
  ...TRANSACTION_KEYS,
  ...SECURITY_KEYS,
  ...QUOTA_KEYS,
}

export type TopicKey = keyof typeof TOPIC_KEYS
export type TopicValue<K extends TopicKey> = Value<(typeof TOPIC_KEYS)[K]>
export type BrokerKey = keyof typeof BROKER_KEYS
export type BrokerValue<K extends BrokerKey> = Value<(typeof BROKER_KEYS)[K]>
export type GroupKey = keyof typeof GROUP_KEYS
export type GroupValue<K extends GroupKey> = Value<(typeof GROUP_KEYS)[K]>

export type ConfigScope = 'topic' | 'broker' | 'group'

type Definitions = Readonly<Record<string, ConfigDefinition>>

const SCOPES: Readonly<Record<ConfigScope, Definitions>> = { topic: TOPIC_KEYS, broker: BROKER_KEYS, group: GROUP_KEYS }

/** `listener.name.<listener>.` and, for logins, `<mechanism>.`: the same key for one listener only. */
const LISTENER_PREFIX = /^listener\.name\.[^.]+\./

/** Definitions of a scope, by name, in the order of their names. */
export function definitions(scope: ConfigScope): readonly (readonly [name: string, definition: ConfigDefinition])[] {
  return Object.entries(SCOPES[scope]).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** A broker's key may carry a listener's prefix: it then has the definition of the key behind it. */
export function findDefinition(scope: ConfigScope, name: string): ConfigDefinition | undefined {
  if (Object.hasOwn(SCOPES[scope], name)) return SCOPES[scope][name]
  if (scope !== 'broker' || !LISTENER_PREFIX.test(name)) return undefined
  const base = name.replace(LISTENER_PREFIX, '')
  return findBase(base) ?? findBase(base.slice(base.indexOf('.') + 1))
}

function findBase(name: string): ConfigDefinition | undefined {
  return Object.hasOwn(SECURITY_KEYS, name) || Object.hasOwn(NETWORK_KEYS, name) ? (BROKER_KEYS as Definitions)[name] : undefined
}

/** The known key that looks most like `name`, if any is close enough to have been meant. */
export function nearestKey(scope: ConfigScope, name: string): string | undefined {
  let nearest: string | undefined
  let distance = Math.max(2, Math.ceil(name.length / 5)) + 1
  for (const known of Object.keys(SCOPES[scope])) {
    // The length of an unknown key is the sender's to choose.
    if (Math.abs(known.length - name.length) >= distance) continue
    const next = editDistance(known, name)
    if (next < distance) [nearest, distance] = [known, next]
  }
  return nearest
}

/** `Unknown topic configuration retenton.ms (did you mean retention.ms?)` */
export function unknownKey(scope: ConfigScope, name: string): string {
  const shown = name.length > 200 ? `${name.slice(0, 200)}…` : name
  const nearest = nearestKey(scope, name)
  return `Unknown ${scope} configuration ${shown}${nearest === undefined ? '' : ` (did you mean ${nearest}?)`}`
}

/** Levenshtein's. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      current[j] = Math.min(replaced, previous[j] + 1, current[j - 1] + 1)
    }
    previous = current
  }
  return previous[b.length]
}
