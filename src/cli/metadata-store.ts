// The metadata store that a broker's configuration names, opened. What it takes to reach etcd is loaded only here, and only then.

import { readFile } from 'node:fs/promises'
import { StartError } from '../broker/start-error.ts'
import type { EtcdChannelOptions, EtcdTls } from '../cluster/store/etcd-channel.ts'
import type { EtcdStore } from '../cluster/store/etcd-store.ts'
import { StoreError } from '../cluster/store/metadata-store.ts'
import { ConfigError } from '../config/definition.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { delay, realClock } from '../host/clock.ts'

/** Pause between two attempts to reach a store that nobody has reached yet. */
const RETRY_MS = 500
const DEFAULT_PORT = 2379

export interface EtcdAddress {
  /** `host:port` of each member. */
  readonly members: readonly string[]
  readonly tls: boolean
}

/** `etcd://host:port,host:port`, or `etcds://…`. @throws {ConfigError} */
export function parseEtcdAddress(text: string): EtcdAddress {
  const refuse = (problem: string) => {
    throw new ConfigError('cluster.store', `--cluster ${text}: ${problem}; etcd://host1:2379,host2:2379,host3:2379 is meant`)
  }
  const [, scheme, list] = /^(\w+):\/\/([^/]*)\/?$/.exec(text.trim()) ?? []
  if (scheme === undefined) return refuse('this is not an address of etcd') as never
  if (scheme !== 'etcd' && scheme !== 'etcds') refuse(`"${scheme}" is not known`)
  const members = list.split(',').map((member) => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s@]+)(?::(\d{1,5}))?$/.exec(member.trim())
    if (match === null || Number(match[2] ?? 1) > 65535) refuse(`"${member}" is not host:port`)
    return `${match![1]}:${match![2] ?? DEFAULT_PORT}`
  })
  if (new Set(members).size < members.length) refuse('a member is named twice')
  return { members, tls: scheme === 'etcds' }
}

/** How the configuration says that etcd is reached. @throws {ConfigError} */
export async function etcdOptions(config: BrokerConfig): Promise<EtcdChannelOptions> {
  const { members, tls } = parseEtcdAddress(config.get('cluster.store') ?? '')
  const [ca, certificate, key] = await Promise.all([
    pem(config, 'etcd.ca.location'),
    pem(config, 'etcd.certificate.location'),
    pem(config, 'etcd.key.location'),
  ])
  if (!tls && (ca ?? certificate ?? key) !== undefined)
    throw new ConfigError(
      'cluster.store',
      'certificates are given for etcd, but its address says no TLS: write etcds:// in place of etcd://',
    )
  if ((certificate === undefined) !== (key === undefined))
    throw new ConfigError(
      'etcd.key.location',
      'etcd.certificate.location and etcd.key.location go together: one of them is missing',
    )
  const user = config.get('etcd.user')
  const password = await passwordOf(config)
  if ((user === null) !== (password === undefined)) {
    const problem =
      user === null
        ? 'a password is given for etcd, but no user: give etcd.user, too'
        : `etcd.user is ${user}, but there is no password: give it in a file (etcd.password.location), or as KAFKA_ETCD_PASSWORD in the environment`
    throw new ConfigError('etcd.user', problem)
  }
  const security: EtcdTls | undefined = tls ? { ca, certificate, key } : undefined
  const credentials = user === null ? undefined : { user, password: password! }
  return { clock: realClock, members, tls: security, credentials }
}

/**
 * Tries for as long as a broker may take to register, so that a machine that starts both at once need not mind the order.
 * @throws {StartError} that says who does not answer, and what to do @throws {ConfigError}
 */
export async function openEtcd(config: BrokerConfig, report: (line: string) => void): Promise<EtcdStore> {
  const options = await etcdOptions(config)
  const { EtcdStore } = await import('../cluster/store/etcd-store.ts')
  const patienceMs = config.get('initial.broker.registration.timeout.ms')
  const deadlineMs = realClock.monotonicMs() + patienceMs
  for (let told = false; ; told = true) {
    try {
      return await EtcdStore.open(options)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (error.reason !== 'unavailable') throw new StartError(error.message, { cause: error })
      if (realClock.monotonicMs() + RETRY_MS > deadlineMs) {
        throw new StartError(
          `no member of etcd (${options.members.join(', ')}) has answered within ${patienceMs} ms: does it run, has it a majority, and is it what --cluster names? The last attempt: ${error.message}`,
          { cause: error },
        )
      }
      if (!told) report(`${error.message}: trying again for ${patienceMs} ms`)
      await delay(realClock, RETRY_MS)
    }
  }
}

async function pem(config: BrokerConfig, key: 'etcd.ca.location' | 'etcd.certificate.location' | 'etcd.key.location') {
  const path = config.get(key)
  if (path === null) return undefined
  const contents = await read(key, path)
  if (!contents.includes('-----BEGIN ')) throw new ConfigError(key, `${key}: ${path} is not in PEM format`)
  return contents
}

async function passwordOf(config: BrokerConfig): Promise<string | undefined> {
  const password = config.get('etcd.password')
  const path = config.get('etcd.password.location')
  if (password !== null && path !== null)
    throw new ConfigError('etcd.password', 'etcd.password and etcd.password.location are both given: one of them is enough')
  if (path === null) return password ?? undefined
  // Editors end a file with a line break; no password does.
  return (await read('etcd.password.location', path)).toString('utf8').replace(/\r?\n$/, '')
}

async function read(key: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new ConfigError(key, `${key}: ${(error as Error).message}`)
  }
}
