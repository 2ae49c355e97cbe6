// TCP by node:net.

import net from 'node:net'
import type { Endpoint, Listener, Network, Socket } from './network.ts'

export const realNetwork: Network = {
  listen(endpoint, onConnection, backlog) {
    return new Promise((resolve, reject) => {
      // allowHalfOpen: a client may close its side and still wait for its answers.
      const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
        const wrapped = new TcpSocket(socket)
        onConnection(wrapped)
      })
      server.once('error', reject)
      server.listen({ host: endpoint.host, port: endpoint.port, backlog }, () => {
        server.off('error', reject)
        const { port } = server.address() as net.AddressInfo
        resolve({ endpoint: { host: endpoint.host, port }, close: () => closed(server) } satisfies Listener)
      })
    })
  },

  connect(endpoint, timeoutMs) {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host: endpoint.host, port: endpoint.port, noDelay: true, keepAlive: true })
      const timer = setTimeout(() => {
        socket.destroy(new Error(`no connection to ${endpoint.host}:${endpoint.port} within ${timeoutMs} ms`))
      }, timeoutMs)
      const failed = (error: Error) => {
        clearTimeout(timer)
        reject(error)
      }
      socket.once('error', failed)
      socket.once('connect', () => {
        clearTimeout(timer)
        socket.off('error', failed)
        resolve(new TcpSocket(socket))
      })
    })
  },
}

function closed(server: net.Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}

class TcpSocket implements Socket {
  readonly local: Endpoint
  readonly remote: Endpoint
  onData: (chunk: Buffer) => void = () => {}
  onEnd: () => void = () => {}
  onDrain: () => void = () => {}
  onClose: (error: Error | undefined) => void = () => {}
  private readonly socket: net.Socket

  constructor(socket: net.Socket) {
    this.socket = socket
    this.local = { host: plainAddress(socket.localAddress), port: socket.localPort ?? 0 }
    this.remote = { host: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 }
    let failure: Error | undefined
    socket.on('data', (chunk) => this.onData(chunk))
    socket.on('end', () => this.onEnd())
    socket.on('drain', () => this.onDrain())
    socket.on('error', (error) => {
      failure = error
    })
    socket.on('close', () => this.onClose(failure))
  }

  get pendingBytes(): number {
    return this.socket.writableLength
  }

  write(chunks: readonly Buffer[]): boolean {
    if (chunks.length === 1) return this.socket.write(chunks[0])
    this.socket.cork()
    let room = true
    for (const chunk of chunks) room = this.socket.write(chunk)
    this.socket.uncork()
    return room
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }
}

function plainAddress(address: string | undefined): string {
  if (address === undefined) return ''
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
