// The schema registry on a port. The port is a bare listener until somebody connects: only then the registry is loaded, reads its topic
// and takes part in the election, so that a broker whose registry nobody uses pays next to nothing for it.

import { createServer, type Server, type Socket } from 'node:net'
import type { ClusterClientOptions } from '../client/cluster-client.ts'
import type { Logger } from '../host/logger.ts'

export interface RegistryServerOptions {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** How other registries reach this one. */
  readonly advertisedHost: string
  readonly client: ClusterClientOptions
  readonly logger: Logger
  readonly topic?: string
  readonly replicationFactor?: number
  readonly groupId?: string
  readonly eligible?: boolean
  /** Loads at once, for a process that does nothing else. */
  readonly eager?: boolean
}

export interface RegistryServer {
  readonly port: number
  close(): Promise<void>
}

/** The registry, once somebody wants it. */
export interface Loaded {
  /** Resolves when it has read its topic; rejects with why it could not. */
  ready(): Promise<unknown>
  /** Takes over a connection that nobody has read from. */
  accept(socket: Socket): void
  close(): Promise<void>
}

/** Rejects with the operating system's error if the port cannot be had, and, if eager, with what kept the registry from starting. */
export async function serveSchemaRegistry(options: RegistryServerOptions): Promise<RegistryServer> {
  let loading: Promise<Loaded> | undefined
  let port = options.port
  const load = () => {
    loading ??= import('./schema-registry-loaded.ts').then(({ loadRegistry }) => loadRegistry({ ...options, port }))
    return loading
  }
  const listener = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    // Until its new owner listens: a connection that is reset meanwhile must not end the process.
    const ignore = () => {}
    socket.on('error', ignore)
    load().then(
      ({ accept }) => {
        socket.off('error', ignore)
        accept(socket)
      },
      () => socket.destroy(),
    )
  })
  port = await listening(listener, options)
  if (options.eager) {
    const { ready } = await load()
    await ready().catch(async (error) => {
      listener.close()
      await (await load()).close()
      throw error
    })
  }
  return {
    port,
    async close() {
      listener.close()
      if (loading !== undefined) await loading.then((loaded) => loaded.close()).catch(() => {})
    },
  }
}

function listening(listener: Server, { host, port }: RegistryServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ host: host === '' ? undefined : host, port }, () => {
      listener.off('error', reject)
      resolve((listener.address() as { port: number }).port)
    })
  })
}
