// Where a broker listens and what it tells clients: listeners, advertised.listeners, listener.security.protocol.map.

import { ConfigError } from './definition.ts'
import type { BrokerConfig } from './effective.ts'

export const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const
export type SecurityProtocol = (typeof SECURITY_PROTOCOLS)[number]

export interface ListenerConfig {
  readonly name: string
  readonly securityProtocol: SecurityProtocol
  /** '' is every interface. An IPv6 address is without its brackets. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** What clients are told; null: the address that they dialled. */
  readonly advertised: { readonly host: string; readonly port: number } | null
}

interface Address {
  readonly name: string
  readonly host: string
  readonly port: number
}

/**
 * The listeners for clients, in order. Those of the controller are left out: a single node asks itself.
 * @throws {ConfigError} naming key and value
 */
export function parseListeners(config: BrokerConfig): ListenerConfig[] {
  const protocols = parseProtocolMap(config.get('listener.security.protocol.map'))
  const controllers = new Set((config.get('controller.listener.names') ?? '').split(',').map((name) => name.trim().toUpperCase()))
  const advertised = config.get('advertised.listeners')
  const told = new Map(
    advertised?.map((text) => parseAddress('advertised.listeners', text)).map((address) => [address.name, address]),
  )

  const listeners = config.get('listeners').map((text) => parseAddress('listeners', text))
  const ports = new Set<string>()
  for (const { name, host, port } of listeners) {
    if (listeners.filter((other) => other.name === name).length > 1)
      throw new ConfigError('listeners', `listeners names ${name} more than once`)
    if (port !== 0 && ports.has(`${host}:${port}`))
      throw new ConfigError('listeners', `listeners uses ${host}:${port} more than once`)
    ports.add(`${host}:${port}`)
  }
  for (const { name, host } of told.values()) {
    if (!listeners.some((listener) => listener.name === name)) {
      throw new ConfigError('advertised.listeners', `advertised.listeners names ${name}, which is not among listeners`)
    }
    if (host === '0.0.0.0' || host === '::') {
      throw new ConfigError('advertised.listeners', `advertised.listeners must not be ${host}: no client can connect to it`)
    }
  }

  const interBroker = interBrokerListener(config)
  if (interBroker !== null && !listeners.some(({ name }) => name === interBroker)) {
    throw new ConfigError(
      'inter.broker.listener.name',
      `inter.broker.listener.name is ${interBroker}, which is not among listeners`,
    )
  }

  const forClients = listeners.filter(({ name }) => !controllers.has(name))
  if (forClients.length === 0) throw new ConfigError('listeners', 'listeners has none for clients, only for the controller')
  return forClients.map(({ name, host, port }) => {
    const securityProtocol = protocols.get(name)
    if (securityProtocol === undefined) {
      throw new ConfigError(
        'listener.security.protocol.map',
        `No security protocol is given for listener ${name}: add ${name}:PLAINTEXT to listener.security.protocol.map`,
      )
    }
    if (securityProtocol !== 'PLAINTEXT') {
      throw new ConfigError(
        'listeners',
        `Listener ${name} wants ${securityProtocol}, which moldau does not support yet: use PLAINTEXT`,
      )
    }
    const address = told.get(name)
    return {
      name,
      securityProtocol,
      host,
      port,
      advertised: address === undefined ? null : { host: address.host || 'localhost', port: address.port },
    }
  })
}

/** The listener that brokers use among themselves; null where nobody has said: then it is the first of each. */
export function interBrokerListener(config: BrokerConfig): string | null {
  return config.get('inter.broker.listener.name')?.toUpperCase() ?? null
}

function parseProtocolMap(entries: readonly string[]): Map<string, SecurityProtocol> {
  const protocols = new Map<string, SecurityProtocol>()
  for (const entry of entries) {
    const [name, protocol, ...rest] = entry.split(':').map((part) => part.trim().toUpperCase())
    if (rest.length > 0 || name === '' || !SECURITY_PROTOCOLS.includes(protocol as SecurityProtocol)) {
      throw new ConfigError(
        'listener.security.protocol.map',
        `Invalid value '${entry}' in listener.security.protocol.map: must be NAME:PROTOCOL with one of ${SECURITY_PROTOCOLS.join(', ')}`,
      )
    }
    protocols.set(name, protocol as SecurityProtocol)
  }
  return protocols
}

function parseAddress(key: string, text: string): Address {
  const match = /^([A-Za-z][\w-]*):\/\/(?:\[([0-9a-fA-F:.%\w]+)\]|([^:/[\]\s]*)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[4])
  if (match === null || port > 65535) {
    throw new ConfigError(key, `Invalid value '${text}' in ${key}: must be NAME://HOST:PORT, such as PLAINTEXT://:9092`)
  }
  return { name: match[1].toUpperCase(), host: match[2] ?? match[3], port }
}
