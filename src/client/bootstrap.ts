// The list of servers that a client starts from: `host:port,host:port`, as `--bootstrap-server` takes it.

import type { Endpoint } from '../host/network.ts'

/** Throws TypeError with a sentence that names the faulty entry. IPv6 addresses stand in brackets. */
export function parseBootstrapServers(servers: string | readonly string[]): Endpoint[] {
  const entries = (typeof servers === 'string' ? servers.split(',') : servers).map((entry) => entry.trim())
  const endpoints = entries.filter((entry) => entry !== '').map(parseServer)
  if (endpoints.length === 0) throw new TypeError('no bootstrap server is named: give host:port')
  return endpoints
}

function parseServer(entry: string): Endpoint {
  // A listener name or protocol in front (PLAINTEXT://host:port) is taken off: people paste what the broker prints.
  const match = /^(?:[A-Za-z0-9_]+:\/\/)?(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(entry)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65535) throw new TypeError(`not a server address: "${entry}" (host:port is meant)`)
  return { host: match[1] ?? match[2], port }
}
