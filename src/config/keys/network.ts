// The broker's keys about who it is, where it listens and what it grants a connection.

import { boolean, int, list, long, string } from '../definition.ts'

export const NETWORK_KEYS = {
  'advertised.listeners': list(
    null,
    'Addresses that clients are told, one for each listener; the address they dialled if absent.',
  ),
  'background.threads': int(10, 'Threads for background work.', { min: 1, dynamic: 'cluster', honoured: 'accepted' }),
  'broker.id': int(-1, 'Older name of node.id.', { min: -1 }),
  'broker.rack': string(null, 'Rack or zone of this broker: replicas are spread over racks.'),
  'connection.failed.authentication.delay.ms': int(100, 'How long a connection is held after a failed login.', {
    min: 0,
    honoured: 'accepted',
  }),
  'connections.max.idle.ms': long(600_000, 'Idle time after which a connection is closed.'),
  'connections.max.reauth.ms': long(0, 'Time after which a login must be renewed; 0 for never.', { honoured: 'accepted' }),
  'fetch.max.bytes': int(57_671_680, 'Most bytes that one fetch answers, whatever it asks for.', { min: 1024 }),
  'inter.broker.listener.name': string(null, 'Listener that brokers use among themselves.'),
  'listener.security.protocol.map': list(
    'PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL',
    'Security protocol of each listener name.',
  ),
  listeners: list('PLAINTEXT://:9092', 'Addresses to listen on, each NAME://HOST:PORT; an empty host is every interface.', {
    emptyList: false,
  }),
  'max.connection.creation.rate': int(2_147_483_647, 'Most new connections each second.', {
    min: 0,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'max.connections': int(2_147_483_647, 'Most connections at once.', { min: 0, dynamic: 'cluster' }),
  'max.connections.per.ip': int(2_147_483_647, 'Most connections at once from one address.', { min: 0, dynamic: 'cluster' }),
  'max.connections.per.ip.overrides': string('', 'Addresses with a bound of their own: host:count, separated by commas.', {
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'max.incremental.fetch.session.cache.slots': int(1000, 'Fetch sessions kept; 0 for none.', { min: 0 }),
  'max.request.partition.size.limit': int(2000, 'Most partitions on one page of DescribeTopicPartitions.', { min: 1 }),
  'node.id': int(1, 'Id of this node.', { min: 0 }),
  'num.io.threads': int(8, 'Threads that handle requests.', { min: 1, dynamic: 'cluster', honoured: 'accepted' }),
  'num.network.threads': int(3, 'Threads that read and write connections.', { min: 1, dynamic: 'cluster', honoured: 'accepted' }),
  'process.roles': list('broker,controller', 'What this process is.', {
    oneOf: ['broker', 'controller'],
    emptyList: false,
    honoured: 'accepted',
  }),
  'queued.max.request.bytes': long(-1, 'Most bytes of requests that wait; -1 for no bound.', { honoured: 'accepted' }),
  'queued.max.requests': int(500, 'Most requests that wait before reading stops.', { min: 1, honoured: 'accepted' }),
  'request.timeout.ms': int(30_000, 'How long this broker waits for another.'),
  'security.inter.broker.protocol': string('PLAINTEXT', 'Security protocol that brokers use among themselves.', {
    oneOf: ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'],
    honoured: 'accepted',
  }),
  'socket.listen.backlog.size': int(50, 'Connections that may wait to be accepted.', { min: 1 }),
  'socket.receive.buffer.bytes': int(102_400, "Receive buffer of a socket; -1 for the operating system's.", {
    min: -1,
    honoured: 'accepted',
  }),
  'socket.request.max.bytes': int(104_857_600, 'Largest request; a larger one closes its connection.', { min: 1 }),
  'socket.send.buffer.bytes': int(102_400, "Send buffer of a socket; -1 for the operating system's.", {
    min: -1,
    honoured: 'accepted',
  }),
  'socket.tcp.no.delay': boolean(true, 'Send small packets at once.', { honoured: 'accepted' }),
} as const
