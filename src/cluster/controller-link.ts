// How a broker reaches the one that is the controller: over the listener that brokers use among themselves, one connection for each
// kind of request, so that a slow one holds up no other.

import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { Connection } from '../client/connection.ts'
import type { Clock } from '../host/clock.ts'
import type { Network } from '../host/network.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { decodeResponseHeader, encodeRequest } from '../protocol/headers.ts'
import {
  AlterPartition,
  type AlterPartitionRequest,
  type AlterPartitionResponse,
} from '../protocol/messages/56-alter-partition.ts'
import { Envelope } from '../protocol/messages/58-envelope.ts'
import {
  BrokerHeartbeat,
  type BrokerHeartbeatRequest,
  type BrokerHeartbeatResponse,
} from '../protocol/messages/63-broker-heartbeat.ts'
import {
  AssignReplicasToDirs,
  type AssignReplicasToDirsRequest,
  type AssignReplicasToDirsResponse,
} from '../protocol/messages/73-assign-replicas-to-dirs.ts'
import type { Api, Decoded, Encodable, Fields } from '../protocol/schema.ts'
import type { BrokerEndpoint } from './metadata-records.ts'

/** Any of them rejects where the broker cannot be reached, or does not answer in time. */
export interface ControllerLink {
  alterPartition(request: AlterPartitionRequest): Promise<AlterPartitionResponse>
  heartbeat(request: BrokerHeartbeatRequest): Promise<BrokerHeartbeatResponse>
  assignReplicasToDirs(request: AssignReplicasToDirsRequest): Promise<AssignReplicasToDirsResponse>
  /** An administrator's request, for the controller to serve. Rejects with KafkaError NOT_CONTROLLER where it is not. */
  forward<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    request: Encodable<Req>,
    timeoutMs: number,
  ): Promise<Decoded<Res>>
  close(): void
}

export interface ConnectionLinkOptions {
  readonly network: Network
  readonly clock: Clock
  readonly nodeId: number
  readonly requestTimeoutMs: number
  readonly endpoint: BrokerEndpoint
}

const CONNECT_TIMEOUT_MS = 2_000
/** Authentication is of connections between brokers; until there is any, nobody is known by a name. */
const ANONYMOUS = principal('User', 'ANONYMOUS')

type Lane = 'isr' | 'heartbeat' | 'admin'

export class ConnectionLink implements ControllerLink {
  private readonly options: ConnectionLinkOptions
  private readonly connections = new Map<Lane, Promise<Connection>>()
  private closed = false

  constructor(options: ConnectionLinkOptions) {
    this.options = options
  }

  async alterPartition(request: AlterPartitionRequest): Promise<AlterPartitionResponse> {
    return (await this.connection('isr')).request(AlterPartition, request, { minVersion: 3 })
  }

  async heartbeat(request: BrokerHeartbeatRequest): Promise<BrokerHeartbeatResponse> {
    return (await this.connection('heartbeat')).request(BrokerHeartbeat, request)
  }

  async assignReplicasToDirs(request: AssignReplicasToDirsRequest): Promise<AssignReplicasToDirsResponse> {
    return (await this.connection('isr')).request(AssignReplicasToDirs, request)
  }

  async forward<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    request: Encodable<Req>,
    timeoutMs: number,
  ): Promise<Decoded<Res>> {
    const connection = await this.connection('admin')
    const version = connection.version(api)
    // Without the length in front: an envelope knows how long its contents are.
    const requestData = Buffer.concat(encodeRequest(api, version, 0, `broker-${this.options.nodeId}`, request)).subarray(4)
    const envelope = { requestData, requestPrincipal: ANONYMOUS, clientHostAddress: Buffer.from([0, 0, 0, 0]) }
    const { errorCode, responseData } = await connection.request(Envelope, envelope, { timeoutMs })
    if (errorCode !== ErrorCode.NONE || responseData === null)
      throw new KafkaError(errorName(errorCode), `the controller did not take a forwarded ${api.name}`)
    const reader = new Reader(responseData)
    decodeResponseHeader(reader, api, version)
    return api.response.decode(reader, version)
  }

  close(): void {
    this.closed = true
    for (const connection of this.connections.values())
      connection.then(
        (open) => open.close(),
        () => {},
      )
    this.connections.clear()
  }

  private connection(lane: Lane): Promise<Connection> {
    if (this.closed) return Promise.reject(new KafkaError('NOT_CONTROLLER', 'the controller is another by now'))
    const known = this.connections.get(lane)
    if (known !== undefined) return known
    const { network, clock, nodeId, requestTimeoutMs, endpoint } = this.options
    const opening = Connection.open({
      network,
      clock,
      endpoint: { host: endpoint.host, port: endpoint.port },
      clientId: `broker-${nodeId}`,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      requestTimeoutMs,
      softwareVersion: '0',
    })
    this.connections.set(lane, opening)
    const forget = () => {
      if (this.connections.get(lane) === opening) this.connections.delete(lane)
    }
    opening.then((connection) => {
      connection.onClose = forget
      if (!connection.isOpen) forget()
      if (this.closed) connection.close()
    }, forget)
    return opening
  }
}

/** In the encoding of Kafka's DefaultPrincipalData: its version, and the fields in flexible form. */
function principal(type: string, name: string): Buffer {
  const writer = new Writer()
  writer.int16(0)
  for (const text of [type, name]) {
    const length = Buffer.byteLength(text)
    writer.unsignedVarint(length + 1)
    writer.utf8(text, length)
  }
  writer.int8(0)
  writer.unsignedVarint(0)
  return writer.toBuffer()
}
