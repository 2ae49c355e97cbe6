// A client that hides nothing: bytes and frames over a socket, with the schemas to write and read them. Nothing is retried, nothing
// negotiated, and every answer must fill its frame to the last byte.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Reader } from '../../src/bytes/reader.ts'
import { decodeResponseHeader, encodeRequest } from '../../src/protocol/headers.ts'
import type { Api, Decoded, Encodable, Fields } from '../../src/protocol/schema.ts'

/** Whoever waits longer than this for a frame or a close waits for ever. */
const PATIENCE_MS = 6_000

export class ConnectionClosed extends Error {
  override readonly name: string = 'ConnectionClosed'
}

export interface Sent<Res extends Fields> {
  readonly api: Api<Fields, Res>
  readonly version: number
  readonly correlationId: number
}

export class RawClient {
  readonly socket: Socket
  readonly #clientId: string | null
  readonly #closed: Promise<void>
  readonly #frames: Buffer[] = []
  readonly #waiting: { resolve(frame: Buffer): void; reject(error: Error): void }[] = []
  #unread = Buffer.alloc(0)
  #lastCorrelationId = 0
  #isClosed = false

  private constructor(socket: Socket, clientId: string | null) {
    this.socket = socket
    this.#clientId = clientId
    this.#closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true
        for (const { reject } of this.#waiting) reject(new ConnectionClosed('the broker has closed the connection'))
        this.#waiting.length = 0
        resolve()
      })
    })
    // A reset is a way of closing too; `close` follows.
    socket.on('error', () => {})
    socket.on('data', (chunk) => this.#receive(chunk))
  }

  static async connect(
    bootstrapServers: string,
    { clientId = 'conformance' }: { clientId?: string | null } = {},
  ): Promise<RawClient> {
    const [host, port] = bootstrapServers.split(':')
    const socket = connect({ host: host!, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket, clientId)
  }

  /** Sends a request and waits for its answer, which must be the next frame. Rejects with ConnectionClosed. */
  async request<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    version: number,
    body: Encodable<Req>,
  ): Promise<Decoded<Res>> {
    return this.answer(this.send(api, version, body))
  }

  /** Sends a request and does not wait. */
  send<Req extends Fields, Res extends Fields>(api: Api<Req, Res>, version: number, body: Encodable<Req>): Sent<Res> {
    const correlationId = ++this.#lastCorrelationId
    this.sendBytes(Buffer.concat(encodeRequest(api, version, correlationId, this.#clientId, body)))
    return { api: api as unknown as Api<Fields, Res>, version, correlationId }
  }

  /** What goes over the wire is exactly this. */
  sendBytes(bytes: Buffer): void {
    this.socket.write(bytes)
  }

  /** Puts the length in front. */
  sendFrame(frame: Buffer): void {
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(frame.length)
    this.sendBytes(Buffer.concat([prefix, frame]))
  }

  /** The next frame, as the answer to a request. */
  async answer<Res extends Fields>({ api, version, correlationId }: Sent<Res>): Promise<Decoded<Res>> {
    return decodeAnswer(api, version, correlationId, await this.frame())
  }

  /** The next frame, without its length. Rejects with ConnectionClosed. */
  frame(): Promise<Buffer> {
    const frame = this.#frames.shift()
    if (frame !== undefined) return Promise.resolve(frame)
    if (this.#isClosed) return Promise.reject(new ConnectionClosed('the broker has closed the connection'))
    return patiently('a frame', new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })))
  }

  /** Resolves when the broker has closed the connection. Rejects if it has answered instead. */
  async closedByBroker(): Promise<void> {
    await patiently('the broker to close the connection', this.#closed)
    assert.equal(this.#frames.length + this.#unread.length, 0, 'the broker answered before it closed the connection')
  }

  /** Says that no more will come, and waits until the broker has hung up too, whatever it answered before. */
  async hangUp(): Promise<void> {
    this.socket.end()
    await patiently('the broker to hang up', this.#closed)
  }

  close(): void {
    this.socket.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #receive(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk])
    while (this.#unread.length >= 4) {
      const end = 4 + this.#unread.readInt32BE(0)
      if (end > this.#unread.length) return
      const frame = this.#unread.subarray(4, end)
      this.#unread = this.#unread.subarray(end)
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#frames.push(frame)
      else waiting.resolve(frame)
    }
  }
}

/** Decodes an answer and checks that it is one: of this request, and nothing behind it. */
export function decodeAnswer<Res extends Fields>(
  api: Api<Fields, Res>,
  version: number,
  correlationId: number,
  frame: Buffer,
): Decoded<Res> {
  const reader = new Reader(frame)
  assert.equal(decodeResponseHeader(reader, api, version), correlationId, `correlation id of ${api.name} v${version}`)
  const response = api.response.decode(reader, version)
  assert.equal(reader.remaining, 0, `bytes behind the answer to ${api.name} v${version}`)
  return response
}

async function patiently<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
