// The part of the schema registry's server that is loaded with the first connection: the registry itself, behind node:http.

import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { httpHandler } from '../schema-registry/http/http-handler.ts'
import { RegistryApi } from '../schema-registry/http/registry-api.ts'
import { RegistryNode } from '../schema-registry/registry-node.ts'
import type { Loaded, RegistryServerOptions } from './schema-registry-server.ts'

/** Started with the first request, and again with the next if that failed: the brokers may have been away. */
export function loadRegistry(options: RegistryServerOptions): Loaded {
  const { client, logger, topic, replicationFactor, groupId, eligible, advertisedHost: host, port } = options
  let starting: Promise<RegistryNode> | undefined
  let closed = false
  const start = () => {
    if (starting !== undefined) return starting
    const identity = { scheme: 'http', host, port }
    const node = RegistryNode.start({ client, logger, identity, topic, replicationFactor, groupId, eligible })
    starting = node
    node.catch(() => {
      if (!closed) starting = undefined
    })
    return node
  }
  const server = createServer(httpHandler(async () => new RegistryApi(await start(), logger)))
  const sockets = new Set<Socket>()
  return {
    ready: start,
    accept(socket) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      server.emit('connection', socket)
      socket.resume()
    },
    async close() {
      closed = true
      for (const socket of sockets) socket.destroy()
      if (starting !== undefined) await starting.then((node) => node.close()).catch(() => {})
    },
  }
}
