// The other brokers of the cluster, as this one asks them: one connection to each, made when it is needed, over the listener that
// brokers use among themselves.

import { Connection, type RequestOptions } from '../client/connection.ts'
import { ConnectionError } from '../client/errors.ts'
import type { Clock } from '../host/clock.ts'
import type { Endpoint, Network } from '../host/network.ts'
import type { Api, Decoded, Encodable, Fields } from '../protocol/schema.ts'
import type { MetadataImage } from './metadata-image.ts'

const CONNECT_TIMEOUT_MS = 2_000

export interface PeersOptions {
  readonly nodeId: number
  readonly network: Network
  readonly clock: Clock
  readonly image: () => MetadataImage
  /** Name of the listener that brokers use among themselves; the first there is if a broker has no such. */
  readonly listener: string | null
  /** What this is for: shows up in the client ids that other brokers see. */
  readonly purpose: string
  readonly requestTimeoutMs: number
}

interface Peer {
  readonly endpoint: Endpoint
  readonly connection: Promise<Connection>
}

export class Peers {
  private readonly options: PeersOptions
  private readonly peers = new Map<number, Peer>()
  private closed = false

  constructor(options: PeersOptions) {
    this.options = options
  }

  /** Rejects with ConnectionError, TimeoutError, … where the broker cannot be reached, or is not known. Nothing is tried again. */
  async request<Req extends Fields, Res extends Fields>(
    brokerId: number,
    api: Api<Req, Res>,
    request: Encodable<Req>,
    options?: RequestOptions,
  ): Promise<Decoded<Res>> {
    return (await this.connection(brokerId)).request(api, request, options)
  }

  close(): void {
    this.closed = true
    for (const id of [...this.peers.keys()]) this.drop(id)
  }

  private connection(brokerId: number): Promise<Connection> {
    const endpoint = this.endpointOf(brokerId)
    const known = this.peers.get(brokerId)
    if (known !== undefined) {
      if (known.endpoint.host === endpoint.host && known.endpoint.port === endpoint.port) return known.connection
      // It has come back elsewhere.
      this.drop(brokerId)
    }
    const { network, clock, nodeId, purpose, requestTimeoutMs } = this.options
    const connection = Connection.open({
      network,
      clock,
      endpoint,
      clientId: `broker-${nodeId}-${purpose}`,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      requestTimeoutMs,
      softwareVersion: '0',
    })
    const peer: Peer = { endpoint, connection }
    this.peers.set(brokerId, peer)
    const forget = () => {
      if (this.peers.get(brokerId) === peer) this.peers.delete(brokerId)
    }
    connection.then((opened) => {
      opened.onClose = forget
      if (this.closed || this.peers.get(brokerId) !== peer) opened.close()
    }, forget)
    return connection
  }

  private endpointOf(brokerId: number): Endpoint {
    const nowhere = { host: `broker ${brokerId}`, port: 0 }
    if (this.closed) throw new ConnectionError(nowhere, 'this broker is shutting down')
    const broker = this.options.image().broker(brokerId)
    const { listener } = this.options
    const endpoint = broker?.endpoints.find(({ name }) => name === listener) ?? broker?.endpoints[0]
    if (endpoint === undefined) throw new ConnectionError(nowhere, `broker ${brokerId} is not known, or does not listen yet`)
    return endpoint
  }

  private drop(brokerId: number): void {
    const peer = this.peers.get(brokerId)
    this.peers.delete(brokerId)
    peer?.connection.then(
      (connection) => connection.close(),
      () => {},
    )
  }
}
