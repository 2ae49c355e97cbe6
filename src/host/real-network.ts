// TCP by node:net.

import net from 'node:net'
import type { Endpoint, Listener, Network, Socket } from './network.ts'

export const realNetwork: Network = {
  listen(endpoint, onConnection, backlog) {
    return new Promise((resolve, reject) => {
      // allowHalfOpen: a client may close its side and still wait for its answers.
      const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, pauseOnConnect: true }
      const server = net.createServer(options, (accepted) => {
        let receive: (chunk: Buffer) => void = () => {}
        const socket = readingInto(SHARED_READ_BUFFER, accepted, server, (chunk) => receive(chunk))
        const wrapped = new TcpSocket(socket)
        receive = (chunk) => wrapped.onData(chunk)
        onConnection(wrapped)
        socket.resume()
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
        const wrapped = new TcpSocket(socket)
        socket.on('data', (chunk) => wrapped.onData(chunk))
        resolve(wrapped)
      })
    })
  },
}

/** Reads are handed on before the next one begins, whatever their socket, so that one buffer serves all. */
const SHARED_READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024)

interface Internals {
  _handle: { useUserBuffer?: unknown } | null
  _server?: net.Server
}

/**
 * Has the kernel write what arrives into `buffer`, rather than into 64 KiB of new memory for each read: a third of the CPU per
 * gigabyte received. Node offers this (`onread`) for sockets that it opens, and makes its own for those that it accepts, so the
 * accepted one hands its handle over. Should a later Node not have these internals, sockets read as they always did.
 */
function readingInto(buffer: Buffer, accepted: net.Socket, server: net.Server, receive: (chunk: Buffer) => void): net.Socket {
  const internals = accepted as unknown as Internals
  const handle = internals._handle
  if (typeof handle?.useUserBuffer !== 'function') {
    accepted.on('data', receive)
    return accepted
  }
  internals._handle = null
  const callback = (length: number) => {
    receive(buffer.subarray(0, length))
    return true
  }
  const options = { handle, allowHalfOpen: true, onread: { buffer, callback } }
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
  // The server counts connections by this, and closes when there are none.
  ;(socket as unknown as Internals)._server = server
  return socket
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

  write(chunks: readonly Buffer[], sent?: () => void): boolean {
    const last = chunks.length - 1
    const done = sent === undefined ? undefined : (error?: Error | null) => error || sent()
    if (last === 0) return this.socket.write(chunks[0], done)
    this.socket.cork()
    for (let i = 0; i < last; i++) this.socket.write(chunks[i])
    const room = this.socket.write(chunks[last], done)
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
