// The connections to etcd's members: one is used until it fails, then the next. What gRPC says is told in the store's words.

import { ChannelCredentials, Client, type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import type { Clock } from '../../host/clock.ts'
import { etcd, type Method, type ResponseHeader } from './etcd-messages.ts'
import { OutcomeUnknown, StoreError } from './metadata-store.ts'

/** A member that has not answered by then is left for the next one. */
const REQUEST_TIMEOUT_MS = 2_000

const OPTIONS = {
  // An image of 100,000 partitions, or all of a deleted topic's events, come in one message.
  'grpc.max_receive_message_length': 256 * 1024 * 1024,
  'grpc.max_send_message_length': 16 * 1024 * 1024,
  // A watch says nothing for hours: only a ping finds out that its member is gone. etcd hangs up on more than one in 5 s.
  'grpc.keepalive_time_ms': 6_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.enable_http_proxy': 0,
}

export interface EtcdTls {
  /** PEM. Absent: the authorities that Node trusts. */
  readonly ca?: Buffer
  /** PEM, for members that ask for a client's certificate. */
  readonly certificate?: Buffer
  readonly key?: Buffer
}

export interface EtcdChannelOptions {
  readonly clock: Clock
  /** `host:port` of each member. */
  readonly members: readonly string[]
  /** Absent: plain text. */
  readonly tls?: EtcdTls
  readonly credentials?: { readonly user: string; readonly password: string }
}

interface Answer {
  readonly header: ResponseHeader | null
}

export class EtcdChannel {
  private readonly options: EtcdChannelOptions
  private readonly clients: readonly Client[]
  /** Index of the member that is used now. */
  private current = 0
  private clusterId: string | undefined
  private token: string | undefined
  private closed = false

  constructor(options: EtcdChannelOptions) {
    this.options = options
    const { tls } = options
    const credentials =
      tls === undefined
        ? ChannelCredentials.createInsecure()
        : ChannelCredentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.certificate ?? null)
    this.clients = options.members.map((member) => new Client(member, credentials, OPTIONS))
  }

  /** Of the member that is used now: `host:port`. */
  get member(): string {
    return this.options.members[this.current]
  }

  /** What only reads: every member is asked in turn. @throws {StoreError} unavailable, denied, … */
  async read<Q, R extends Answer>(method: Method<Q, R>, request: Q): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.call(method, request)
      } catch (error) {
        const told = this.translate(error)
        if (told.reason !== 'unavailable' || attempt >= this.clients.length) throw told
      }
    }
  }

  /** What changes something is sent once. @throws {OutcomeUnknown} @throws {StoreError} */
  async write<Q, R extends Answer>(method: Method<Q, R>, request: Q): Promise<R> {
    try {
      return await this.call(method, request)
    } catch (error) {
      const told = this.translate(error)
      if (told.reason === 'unavailable') throw new OutcomeUnknown(told.message, { cause: error })
      throw told
    }
  }

  /** A stream in both directions to the member that is used now. Its errors go through `translate`. */
  async open<Q, R>(method: Method<Q, R>): Promise<ClientDuplexStream<Q, R>> {
    if (this.closed) throw new StoreError('closed', 'the metadata store is closed')
    const metadata = await this.metadata()
    return this.clients[this.current].makeBidiStreamRequest(method.path, method.encode, method.decode, metadata)
  }

  /** Turns to the next member, unless somebody has turned already. */
  leave(member: string): void {
    if (member === this.member) this.current = (this.current + 1) % this.clients.length
  }

  /** In the store's words. A member that failed is left. */
  translate(error: unknown, member = this.member): StoreError {
    if (error instanceof StoreError) return error
    const { code, details = String(error) } = error as Partial<ServiceError>
    switch (code) {
      case status.INVALID_ARGUMENT:
      case status.NOT_FOUND:
      case status.FAILED_PRECONDITION:
        // Not signed in any more is said in this way, too.
        if (!/auth/.test(details)) return new StoreError('invalid', `etcd refuses: ${details}`)
        this.token = undefined
        return new StoreError('denied', `etcd at ${member} refuses: ${details}. Check the user name and password given for etcd`)
      case status.PERMISSION_DENIED:
      case status.UNAUTHENTICATED:
        this.token = undefined
        if (/invalid auth token/.test(details)) return this.unavailable(member, details)
        return new StoreError('denied', `etcd at ${member} refuses: ${details}. Check the user name and password given for etcd`)
      case status.RESOURCE_EXHAUSTED:
        // Reads and deletions go on; so do leases that are there.
        if (/space exceeded/.test(details))
          return new StoreError('full', 'etcd is out of space: compact and defragment it, then disarm its alarm')
        return this.unavailable(member, details)
      case status.OUT_OF_RANGE:
        return new StoreError('compacted', details)
      default:
        return this.unavailable(member, details)
    }
  }

  close(): void {
    this.closed = true
    for (const client of this.clients) client.close()
  }

  private unavailable(member: string, details: string): StoreError {
    this.leave(member)
    return new StoreError('unavailable', `etcd at ${member} cannot be reached: ${details}`)
  }

  private async call<Q, R extends Answer>(method: Method<Q, R>, request: Q): Promise<R> {
    const metadata = await this.metadata()
    const response = await this.unary(method, request, metadata)
    if (response.header !== null) this.checkCluster(response.header)
    return response
  }

  private unary<Q, R>(method: Method<Q, R>, request: Q, metadata: Metadata): Promise<R> {
    if (this.closed) return Promise.reject(new StoreError('closed', 'the metadata store is closed'))
    return new Promise((resolve, reject) => {
      const deadline = this.options.clock.wallMs() + REQUEST_TIMEOUT_MS
      this.clients[this.current].makeUnaryRequest(
        method.path,
        method.encode,
        method.decode,
        request,
        metadata,
        { deadline },
        (error, response) => (error === null ? resolve(response!) : reject(error)),
      )
    })
  }

  /** A member that has lost its leader ends streams and refuses requests, instead of being silent. */
  private async metadata(): Promise<Metadata> {
    const metadata = new Metadata()
    metadata.set('hasleader', 'true')
    const { credentials } = this.options
    if (credentials !== undefined) {
      const { user, password } = credentials
      this.token ??= (await this.unary(etcd.authenticate, { name: user, password }, new Metadata())).token
      metadata.set('token', this.token)
    }
    return metadata
  }

  /** Revisions of one cluster mean nothing in another: answers from both must never be mixed. */
  checkCluster({ cluster_id }: ResponseHeader): void {
    const id = cluster_id.toString()
    this.clusterId ??= id
    if (id !== this.clusterId) {
      throw new StoreError(
        'invalid',
        `etcd at ${this.member} belongs to cluster ${id}, other members to ${this.clusterId}: name members of one cluster only`,
      )
    }
  }
}
