// The flags of `moldau start`, and what they come to: keys of server.properties.

import { hostname } from 'node:os'
import { ConfigError } from '../config/definition.ts'
import { parseSetting, type StaticSetting } from '../config/static-config.ts'

export const START_OPTIONS = {
  port: { type: 'string' },
  host: { type: 'string' },
  listen: { type: 'string' },
  advertise: { type: 'string' },
  'data-dir': { type: 'string' },
  'node-id': { type: 'string' },
  cluster: { type: 'string' },
  rack: { type: 'string' },
  machine: { type: 'string' },
  nodes: { type: 'string' },
  'schema-registry': { type: 'string' },
  'etcd-ca': { type: 'string' },
  'etcd-cert': { type: 'string' },
  'etcd-key': { type: 'string' },
  'etcd-user': { type: 'string' },
  'etcd-password-file': { type: 'string' },
  'accept-metadata-rollback': { type: 'boolean' },
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
  'log-format': { type: 'string', default: 'text' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

/** What was given, by name. */
export type StartFlags = {
  readonly [F in keyof typeof START_OPTIONS]?: (typeof START_OPTIONS)[F] extends { type: 'boolean' }
    ? boolean
    : F extends 'set'
      ? string[]
      : string
}

/** Flags that are another spelling of one key. */
const KEYS = {
  'data-dir': 'log.dirs',
  'node-id': 'node.id',
  cluster: 'cluster.store',
  rack: 'broker.rack',
  machine: 'broker.machine',
  'etcd-ca': 'etcd.ca.location',
  'etcd-cert': 'etcd.certificate.location',
  'etcd-key': 'etcd.key.location',
  'etcd-user': 'etcd.user',
  'etcd-password-file': 'etcd.password.location',
} as const satisfies Partial<Record<keyof StartFlags, string>>

/** @throws {ConfigError} */
export function settingsOf(flags: StartFlags): StaticSetting[] {
  const settings = (flags.set ?? []).map((text) => parseSetting(text))
  if (flags.listen !== undefined && (flags.port ?? flags.host) !== undefined)
    throw new ConfigError('--listen', '--listen says what --port and --host say: give it, or those')
  if (flags.port !== undefined || flags.host !== undefined) {
    const host = flags.host ?? ''
    const port = flags.port ?? '9092'
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new ConfigError('--port', `--port ${port}: must be 0 to 65535`)
    const value = `PLAINTEXT://${host.includes(':') ? `[${host}]` : host}:${port}`
    settings.push({ key: 'listeners', value, origin: '--port, --host' })
  }
  if (flags.listen !== undefined) settings.push({ key: 'listeners', value: addresses(flags.listen), origin: '--listen' })
  if (flags.advertise !== undefined)
    settings.push({ key: 'advertised.listeners', value: addresses(flags.advertise), origin: '--advertise' })
  for (const [flag, key] of Object.entries(KEYS)) {
    const value = flags[flag as keyof typeof KEYS]
    if (value !== undefined) settings.push({ key, value, origin: `--${flag}` })
  }
  return settings
}

/** `host:port` is what most people mean by a listener. */
function addresses(text: string): string {
  return text
    .split(',')
    .map((address) => address.trim())
    .map((address) => (address.includes('://') ? address : `PLAINTEXT://${address}`))
    .join()
}

/** How others reach this machine: where a broker of a cluster is not told what to advertise. As Kafka takes it. */
export const ownHostName = (): string => hostname()
