// A broker for tests of the client: answers what it is told to, on a port of the loopback address. Nothing of the real one is in it.

import { Reader } from '../../src/bytes/reader.ts'
import { ClusterClient, type ClusterClientOptions } from '../../src/client/cluster-client.ts'
import { realClock } from '../../src/host/clock.ts'
import type { Listener, Socket } from '../../src/host/network.ts'
import { seededRandom } from '../../src/host/random.ts'
import { realNetwork } from '../../src/host/real-network.ts'
import { apis } from '../../src/protocol/apis.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { encodeResponse } from '../../src/protocol/headers.ts'
import { Metadata } from '../../src/protocol/messages/03-metadata.ts'
import { ApiVersions } from '../../src/protocol/messages/18-api-versions.ts'
import { decodeRequestHeader } from '../../src/protocol/request-header.ts'
import type { Api, Decoded, Encodable, Fields } from '../../src/protocol/schema.ts'

/** What to answer; `silence` to answer never, `hang up` to close the connection instead. */
export type Answer<Res extends Fields> = Encodable<Res> | 'silence' | 'hang up' | Promise<Encodable<Res>>
export type Script<Req extends Fields, Res extends Fields> = (request: Decoded<Req>, version: number) => Answer<Res>

export class ScriptedBroker implements AsyncDisposable {
  readonly nodeId = 1
  readonly host = '127.0.0.1'
  port = 0
  /** Names of the APIs asked for, in order. */
  readonly asked: string[] = []
  /** The version in which UNSUPPORTED_VERSION is said: brokers say it in 0, whatever was asked. */
  versionOfRefusal: number | undefined
  /** Sends answers byte by byte. */
  dribble = false
  private readonly scripts = new Map<number, Script<Fields, Fields>>()
  private readonly sockets = new Set<Socket>()
  private listener: Listener | undefined

  static async start(): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker()
    broker.listener = await realNetwork.listen({ host: broker.host, port: 0 }, (socket) => broker.serve(socket))
    broker.port = broker.listener.endpoint.port
    broker.on(ApiVersions, () => ({
      errorCode: 0,
      apiKeys: apis.map((api) => ({ apiKey: api.key, minVersion: api.versions.min, maxVersion: api.versions.max })),
    }))
    return broker
  }

  /** From now on, this API is answered so. */
  on<Req extends Fields, Res extends Fields>(api: Api<Req, Res>, script: Script<Req, Res>): void {
    this.scripts.set(api.key, script as unknown as Script<Fields, Fields>)
  }

  /** Topics by name, with their number of partitions, all led by this broker. */
  onMetadata(topics: Readonly<Record<string, number>>): void {
    this.on(Metadata, (request) => ({
      brokers: [{ nodeId: this.nodeId, host: this.host, port: this.port }],
      clusterId: 'scripted',
      controllerId: this.nodeId,
      topics: (request.topics?.map((topic) => topic.name ?? '') ?? Object.keys(topics)).map((name) => ({
        errorCode: name in topics ? 0 : 3,
        name,
        partitions: Array.from({ length: topics[name] ?? 0 }, (_, partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: this.nodeId,
          leaderEpoch: 0,
          replicaNodes: [this.nodeId],
          isrNodes: [this.nodeId],
        })),
      })),
    }))
  }

  /** A cluster client that starts from this broker, impatient. */
  client(options: Partial<ClusterClientOptions> = {}): ClusterClient {
    return new ClusterClient({
      bootstrapServers: `${this.host}:${this.port}`,
      network: realNetwork,
      clock: realClock,
      random: seededRandom(1),
      retryBackoffMs: 1,
      retryBackoffMaxMs: 5,
      apiTimeoutMs: 2000,
      ...options,
    })
  }

  dropConnections(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropConnections()
    await this.listener?.close()
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket)
    let pending = Buffer.alloc(0)
    let turn = Promise.resolve()
    socket.onClose = () => this.sockets.delete(socket)
    socket.onEnd = () => socket.destroy()
    socket.onData = (chunk) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const end = 4 + pending.readInt32BE(0)
        const reader = new Reader(pending, 4, end)
        pending = pending.subarray(end)
        turn = turn.then(() => this.answer(socket, reader))
      }
    }
  }

  private async answer(socket: Socket, reader: Reader): Promise<void> {
    const { api, apiVersion, correlationId } = decodeRequestHeader(reader)
    const script = api === undefined ? undefined : this.scripts.get(api.key)
    if (api === undefined || script === undefined) throw new Error(`the script says nothing of ${api?.name}`)
    this.asked.push(api.name)
    const answer = await script(api.request.decode(reader, apiVersion), apiVersion)
    if (answer === 'hang up') socket.destroy()
    else if (answer !== 'silence') {
      const refused = (answer as { errorCode?: number }).errorCode === ErrorCode.UNSUPPORTED_VERSION
      const version = refused ? (this.versionOfRefusal ?? apiVersion) : apiVersion
      const chunks = encodeResponse(api, version, correlationId, answer)
      if (this.dribble) for (const byte of Buffer.concat(chunks)) socket.write([Buffer.of(byte)])
      else socket.write(chunks)
    }
  }
}
