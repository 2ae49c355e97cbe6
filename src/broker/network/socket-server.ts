// The listeners of a broker and the connections that came in on them.

import type { BufferPool } from '../../bytes/buffer-pool.ts'
import { type Clock, every, type Timer } from '../../host/clock.ts'
import type { Endpoint, Listener, Network, Socket } from '../../host/network.ts'
import { type Admission, Connection, type Serve } from './connection.ts'

/**
 * Whatever socket.listen.backlog.size says: Node accepts one connection per turn of the event loop, so that of hundreds of clients who
 * come at once, after a restart say, the kernel would drop most, and each of these would come back a second later.
 */
const LEAST_BACKLOG = 511

export interface ListenerSpec {
  readonly name: string
  /** '' listens on every address, IPv4 and IPv6. */
  readonly host: string
  readonly port: number
}

export interface SocketServerOptions {
  readonly network: Network
  readonly clock: Clock
  readonly pool: BufferPool
  readonly maxFrameBytes: number
  readonly maxConnections: number
  readonly maxConnectionsPerIp: number
  /** Connections with no bytes in or out for this long are closed. */
  readonly maxIdleMs: number
  readonly backlog: number
  readonly serve: Serve
  readonly admission: Admission
  readonly report: (reason: string, remote: Endpoint) => void
}

export class SocketServer {
  private readonly options: SocketServerOptions
  private readonly connections = new Set<Connection>()
  private readonly perIp = new Map<string, number>()
  private readonly listeners: Listener[] = []
  private readonly idleCheck: Timer

  constructor(options: SocketServerOptions) {
    this.options = options
    // Half the limit: nobody idles longer than one and a half times what is configured.
    this.idleCheck = every(options.clock, Math.max(1, options.maxIdleMs / 2), () => this.closeIdle())
  }

  get connectionCount(): number {
    return this.connections.size
  }

  /** Returns where it listens, with the port that was given where 0 was asked. Rejects with the system's error. */
  async listen(spec: ListenerSpec): Promise<Endpoint> {
    const address = { host: spec.host === '' ? '::' : spec.host, port: spec.port }
    const backlog = Math.max(this.options.backlog, LEAST_BACKLOG)
    const listener = await this.options.network
      .listen(address, (socket) => this.accept(socket, spec.name), backlog)
      .catch((error: NodeJS.ErrnoException) => {
        // A machine without IPv6 has no '::'.
        if (spec.host !== '' || (error.code !== 'EAFNOSUPPORT' && error.code !== 'EADDRNOTAVAIL')) throw error
        const ipv4 = { host: '0.0.0.0', port: spec.port }
        return this.options.network.listen(ipv4, (socket) => this.accept(socket, spec.name), backlog)
      })
    this.listeners.push(listener)
    return listener.endpoint
  }

  private accept(socket: Socket, listener: string): void {
    const { host } = socket.remote
    const sameIp = this.perIp.get(host) ?? 0
    if (this.connections.size >= this.options.maxConnections || sameIp >= this.options.maxConnectionsPerIp) {
      this.options.report(
        this.connections.size >= this.options.maxConnections
          ? `refused: max.connections is ${this.options.maxConnections}`
          : `refused: max.connections.per.ip is ${this.options.maxConnectionsPerIp}`,
        socket.remote,
      )
      socket.destroy()
      return
    }
    const connection = new Connection({
      socket,
      listener,
      clock: this.options.clock,
      pool: this.options.pool,
      maxFrameBytes: this.options.maxFrameBytes,
      serve: this.options.serve,
      admission: this.options.admission,
      report: (reason) => this.options.report(reason, socket.remote),
    })
    this.connections.add(connection)
    this.perIp.set(host, sameIp + 1)
    connection.onClose(() => {
      this.connections.delete(connection)
      const left = this.perIp.get(host)! - 1
      if (left === 0) this.perIp.delete(host)
      else this.perIp.set(host, left)
    })
  }

  private closeIdle(): void {
    const since = this.options.clock.monotonicMs() - this.options.maxIdleMs
    for (const connection of this.connections) if (connection.lastActiveMs < since) connection.end()
  }

  /** Takes no more connections and ends those that are there, answered requests first; cuts what is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.idleCheck.cancel()
    const closed = Promise.all(this.listeners.map((listener) => listener.close()))
    for (const connection of this.connections) connection.end()
    const grace = this.options.clock.timer(graceMs, () => {
      for (const connection of this.connections) connection.socket.destroy()
    })
    await closed
    grace.cancel()
  }
}
