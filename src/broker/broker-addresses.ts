// Where clients are told to find this broker and the others: at the listener that they came in by.

import type { BrokerRegistration, MetadataImage } from '../cluster/metadata-image.ts'
import type { ListenerConfig } from '../config/listeners.ts'
import type { Connection } from './network/connection.ts'
import type { BrokerAddress } from './services.ts'

export interface BrokerAddressesOptions {
  readonly nodeId: number
  readonly rack: string | null
  readonly listeners: ReadonlyMap<string, ListenerConfig>
  readonly image: () => MetadataImage
}

export class BrokerAddresses {
  private readonly options: BrokerAddressesOptions

  constructor(options: BrokerAddressesOptions) {
    this.options = options
  }

  /**
   * On a single node, whoever dialled an address is told that address, unless advertised.listeners says otherwise. In a cluster all brokers
   * must tell the same, or clients would take what differs for a move: what this one is registered with.
   */
  self(connection: Connection): BrokerAddress {
    const { nodeId, rack, listeners, image } = this.options
    const registered = image().broker(nodeId)
    const known = image().isCluster ? registered?.endpoints.find(({ name }) => name === connection.listener) : undefined
    const { host, port } = known ?? listeners.get(connection.listener)?.advertised ?? connection.socket.local
    return { nodeId, host, port, rack, isFenced: registered?.fenced ?? false }
  }

  /** This broker, and the others that are not fenced and have such a listener, in the order of their ids. */
  live(connection: Connection): BrokerAddress[] {
    return this.registered(connection).filter(({ nodeId, isFenced }) => !isFenced || nodeId === this.options.nodeId)
  }

  /** The same with those that are fenced. */
  registered(connection: Connection): BrokerAddress[] {
    const { nodeId, image } = this.options
    const others = image()
      .brokers()
      .flatMap((broker) => (broker.id === nodeId ? [] : this.of(broker, connection.listener)))
    return [this.self(connection), ...others].sort((a, b) => a.nodeId - b.nodeId)
  }

  private of({ id, endpoints, rack, fenced }: BrokerRegistration, listener: string): BrokerAddress[] {
    const endpoint = endpoints.find(({ name }) => name === listener)
    return endpoint === undefined ? [] : [{ nodeId: id, host: endpoint.host, port: endpoint.port, rack, isFenced: fenced }]
  }
}
