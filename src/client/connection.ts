// One connection to one broker: framing, correlation, version negotiation. Requests may be pipelined; brokers answer in order.
// Nothing is tried again here: that is for whoever knows what a request means (cluster-client.ts, producer.ts).

import { DecodeError, Reader } from '../bytes/reader.ts'
import type { Clock, Timer } from '../host/clock.ts'
import type { Endpoint, Network, Socket } from '../host/network.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { decodeResponseHeader, encodeRequest } from '../protocol/headers.ts'
import { ApiVersions, type ApiVersionsResponse } from '../protocol/messages/18-api-versions.ts'
import type { Api, Decoded, Encodable, Fields, Versions } from '../protocol/schema.ts'
import { ClientClosedError, ConnectionError, ProtocolError, TimeoutError, UnsupportedVersionError } from './errors.ts'

export interface ConnectionOptions {
  readonly network: Network
  readonly clock: Clock
  readonly endpoint: Endpoint
  readonly clientId: string
  readonly connectTimeoutMs: number
  /** For requests that name no other time. */
  readonly requestTimeoutMs: number
  /** As the broker's logs will name us. */
  readonly softwareVersion: string
}

export interface RequestOptions {
  readonly timeoutMs?: number
  /** Where the request cannot be said in newer versions, or must not. */
  readonly maxVersion?: number
  /** Where the request cannot be said in older versions: UnsupportedVersionError if the broker has only those. */
  readonly minVersion?: number
}

/** A response longer than this is taken for garbage: a fetch is bounded by what it asks for, all else is far smaller. */
const MAX_RESPONSE_BYTES = 1 << 30
const SOFTWARE_NAME = 'moldau'

type ApiRange = Pick<Api, 'key' | 'name' | 'versions'>

interface InFlight {
  readonly decode: (reader: Reader) => unknown
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

export class Connection {
  readonly endpoint: Endpoint
  /** What the broker speaks, by API key. */
  versions: ReadonlyMap<number, Versions> = new Map()
  /** The whole answer to ApiVersions: features, too. */
  apiVersions: ApiVersionsResponse | undefined
  /** Called once, when the connection has ended for whatever reason. */
  onClose: () => void = () => {}

  private readonly options: ConnectionOptions
  private readonly socket: Socket
  private readonly inFlight: InFlight[] = []
  private drainWaiters: (() => void)[] = []
  private nextCorrelationId = 0
  private failure: Error | undefined
  /** Bytes of a frame, or of its length, that have come without the rest. */
  private pieces: Buffer[] = []
  private pending = 0
  /** Bytes that `pieces` must reach before it is worth looking at them. */
  private wanted = 4

  /** Connects, and asks what the broker speaks. Rejects with ConnectionError, TimeoutError or ProtocolError. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const { host, port } = options.endpoint
    let socket: Socket
    try {
      socket = await options.network.connect(options.endpoint, options.connectTimeoutMs)
    } catch (error) {
      throw new ConnectionError(options.endpoint, `cannot connect to ${host}:${port}: ${reason(error)}`, { cause: error })
    }
    const connection = new Connection(options, socket)
    try {
      await connection.negotiate()
    } catch (error) {
      connection.close()
      throw error
    }
    return connection
  }

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.options = options
    this.endpoint = options.endpoint
    this.socket = socket
    socket.onData = (chunk) => this.receive(chunk)
    socket.onDrain = () => this.drained()
    socket.onEnd = () => this.fail(new ConnectionError(this.endpoint, `${this.name} closed the connection`))
    socket.onClose = (error) => {
      const why = error === undefined ? 'closed the connection' : reason(error)
      this.fail(new ConnectionError(this.endpoint, `${this.name}: ${why}`, error === undefined ? undefined : { cause: error }))
    }
  }

  get isOpen(): boolean {
    return this.failure === undefined
  }

  /** Requests sent and not yet answered. */
  get pendingRequests(): number {
    return this.inFlight.length
  }

  private get name(): string {
    return `${this.endpoint.host}:${this.endpoint.port}`
  }

  /** The newest version that both sides speak, within the bounds. Throws UnsupportedVersionError. */
  version(api: ApiRange, bounds: Pick<RequestOptions, 'minVersion' | 'maxVersion'> = {}): number {
    const broker = this.versions.get(api.key)
    const max = Math.min(api.versions.max, broker?.max ?? -1, bounds.maxVersion ?? api.versions.max)
    const min = Math.max(api.versions.min, broker?.min ?? 0, bounds.minVersion ?? 0)
    if (broker !== undefined && max >= min) return max
    const theirs = broker === undefined ? 'none' : `${broker.min} to ${broker.max}`
    const ours = `${Math.max(api.versions.min, bounds.minVersion ?? 0)} to ${Math.min(api.versions.max, bounds.maxVersion ?? 0x7fff)}`
    throw new UnsupportedVersionError(`${api.name}: ${this.name} speaks ${theirs}, this needs ${ours}`)
  }

  /** Whether `version` would find one. */
  supports(api: ApiRange, minVersion = 0): boolean {
    const broker = this.versions.get(api.key)
    return broker !== undefined && broker.max >= Math.max(api.versions.min, minVersion) && broker.min <= api.versions.max
  }

  /**
   * Sends a request and resolves to its answer, whatever error codes stand in it. Rejects with ConnectionError, TimeoutError (the
   * connection is then closed, for answers come in order), UnsupportedVersionError, ProtocolError or ClientClosedError.
   */
  async request<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    request: Encodable<Req>,
    options: RequestOptions = {},
  ): Promise<Decoded<Res>> {
    return this.send(api, this.version(api, options), request, options.timeoutMs)
  }

  /** For the one request that is never answered, a Produce with acks=0. Resolves when the kernel has taken it. */
  async requestWithoutResponse<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    request: Encodable<Req>,
    options: RequestOptions = {},
  ): Promise<void> {
    const version = this.version(api, options)
    this.throwIfClosed()
    const room = this.socket.write(encodeRequest(api, version, this.correlationId(), this.options.clientId, request))
    if (!room) await new Promise<void>((resolve) => this.drainWaiters.push(resolve))
    this.throwIfClosed()
  }

  /** What is in flight is rejected. */
  close(): void {
    this.fail(new ClientClosedError(`the connection to ${this.name}`))
  }

  private send<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    version: number,
    request: Encodable<Req>,
    timeoutMs = this.options.requestTimeoutMs,
  ): Promise<Decoded<Res>> {
    this.throwIfClosed()
    const correlationId = this.correlationId()
    const chunks = encodeRequest(api, version, correlationId, this.options.clientId, request)
    return new Promise<Decoded<Res>>((resolve, reject) => {
      const timer = this.options.clock.timer(timeoutMs, () => {
        this.fail(new TimeoutError(`${api.name}: no answer from ${this.name} within ${timeoutMs} ms`))
      })
      const decode = (reader: Reader): unknown => {
        const answered = decodeResponseHeader(reader, api, version)
        if (answered !== correlationId) throw new ProtocolError(`answer ${answered} where ${correlationId} was due`)
        return api.key === ApiVersions.key ? decodeApiVersions(reader, version) : api.response.decode(reader, version)
      }
      this.inFlight.push({
        decode,
        resolve: resolve as (response: never) => void,
        reject,
        timer,
      })
      this.socket.write(chunks)
    })
  }

  private correlationId(): number {
    const id = this.nextCorrelationId
    this.nextCorrelationId = (id + 1) & 0x7fff_ffff
    return id
  }

  private async negotiate(): Promise<void> {
    const software = { clientSoftwareName: SOFTWARE_NAME, clientSoftwareVersion: this.options.softwareVersion }
    const ask = (version: number) => this.send(ApiVersions, version, software, this.options.connectTimeoutMs)
    let answer = await ask(ApiVersions.versions.max)
    if (answer.errorCode === ErrorCode.UNSUPPORTED_VERSION) {
      // The broker is older than we are: its answer is in version 0, and names the range that it has of this API (brokers before
      // 2.4 name nothing).
      const range = answer.apiKeys.find((entry) => entry.apiKey === ApiVersions.key)
      answer = await ask(Math.min(range?.maxVersion ?? 0, ApiVersions.versions.max))
    }
    if (answer.errorCode !== ErrorCode.NONE) {
      const code = errorName(answer.errorCode)
      throw new KafkaError(code, `${this.name} refuses to say what it speaks: ${code}`)
    }
    this.apiVersions = answer
    this.versions = new Map(answer.apiKeys.map((entry) => [entry.apiKey, { min: entry.minVersion, max: entry.maxVersion }]))
  }

  private receive(chunk: Buffer): void {
    if (this.failure !== undefined) return
    this.pieces.push(chunk)
    this.pending += chunk.length
    if (this.pending < this.wanted) return
    const bytes = this.pieces.length === 1 ? chunk : Buffer.concat(this.pieces, this.pending)
    let position = 0
    try {
      this.wanted = 4
      while (bytes.length - position >= 4) {
        const length = bytes.readInt32BE(position)
        if (length < 4 || length > MAX_RESPONSE_BYTES) {
          throw new ProtocolError(`${this.name} sent a frame of ${length} bytes: is it a Kafka broker, without TLS?`)
        }
        if (bytes.length - position - 4 < length) {
          this.wanted = 4 + length
          break
        }
        this.answer(new Reader(bytes, position + 4, position + 4 + length))
        position += 4 + length
      }
    } catch (error) {
      const wrong = error instanceof DecodeError ? new ProtocolError(`${this.name}: ${error.message}`, { cause: error }) : error
      this.fail(wrong as Error)
      return
    }
    this.pieces = position === bytes.length ? [] : [bytes.subarray(position)]
    this.pending = bytes.length - position
  }

  private answer(reader: Reader): void {
    const waiting = this.inFlight.shift()
    if (waiting === undefined) throw new ProtocolError(`${this.name} answers what was not asked`)
    waiting.timer.cancel()
    try {
      waiting.resolve(waiting.decode(reader) as never)
    } catch (error) {
      // Its caller hears of it with all the others, from `fail`.
      this.inFlight.unshift(waiting)
      throw error
    }
  }

  private throwIfClosed(): void {
    if (this.failure !== undefined) throw this.failure
  }

  private fail(error: Error): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.pieces = []
    this.socket.destroy()
    for (const { timer, reject } of this.inFlight.splice(0)) {
      timer.cancel()
      reject(error)
    }
    this.drained()
    this.onClose()
  }

  private drained(): void {
    for (const resolve of this.drainWaiters.splice(0)) resolve()
  }
}

/** A broker that does not know the version answers in version 0, which only its error code tells (KIP-511). */
function decodeApiVersions(reader: Reader, version: number): ApiVersionsResponse {
  const isVersion0 = reader.buffer.readInt16BE(reader.position) === ErrorCode.UNSUPPORTED_VERSION
  return ApiVersions.response.decode(reader, isVersion0 ? 0 : version)
}

function reason(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reason).join(', ')
  return error instanceof Error ? error.message : String(error)
}
