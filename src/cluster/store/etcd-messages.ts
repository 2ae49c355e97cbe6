// The part of etcd's API (v3) that a metadata store needs, from its public field numbers, and its coding.

import protobuf from 'protobufjs'
import { type Entry, type Revision, StoreError } from './metadata-store.ts'

const DEFINITIONS = `
syntax = "proto3";
package etcdserverpb;

message ResponseHeader { uint64 cluster_id = 1; uint64 member_id = 2; int64 revision = 3; uint64 raft_term = 4; }
message KeyValue { bytes key = 1; int64 create_revision = 2; int64 mod_revision = 3; int64 version = 4; bytes value = 5; int64 lease = 6; }
message Event { int32 type = 1; KeyValue kv = 2; }

message RangeRequest { bytes key = 1; bytes range_end = 2; int64 limit = 3; int64 revision = 4; bool serializable = 7; bool count_only = 9; }
message RangeResponse { ResponseHeader header = 1; repeated KeyValue kvs = 2; bool more = 3; int64 count = 4; }
message PutRequest { bytes key = 1; bytes value = 2; int64 lease = 3; }
message DeleteRangeRequest { bytes key = 1; bytes range_end = 2; }
message Compare {
  int32 result = 1; int32 target = 2; bytes key = 3;
  oneof target_union { int64 create_revision = 5; int64 mod_revision = 6; bytes value = 7; }
}
message RequestOp { oneof request { RangeRequest request_range = 1; PutRequest request_put = 2; DeleteRangeRequest request_delete_range = 3; } }
message ResponseOp { oneof response { RangeResponse response_range = 1; } }
message TxnRequest { repeated Compare compare = 1; repeated RequestOp success = 2; repeated RequestOp failure = 3; }
message TxnResponse { ResponseHeader header = 1; bool succeeded = 2; repeated ResponseOp responses = 3; }

message WatchCreateRequest { bytes key = 1; bytes range_end = 2; int64 start_revision = 3; }
message WatchRequest { oneof request_union { WatchCreateRequest create_request = 1; } }
message WatchResponse {
  ResponseHeader header = 1; int64 watch_id = 2; bool created = 3; bool canceled = 4; int64 compact_revision = 5;
  string cancel_reason = 6; repeated Event events = 11;
}

message LeaseGrantRequest { int64 TTL = 1; int64 ID = 2; }
message LeaseGrantResponse { ResponseHeader header = 1; int64 ID = 2; int64 TTL = 3; string error = 4; }
message LeaseRevokeRequest { int64 ID = 1; }
message LeaseRevokeResponse { ResponseHeader header = 1; }
message LeaseKeepAliveRequest { int64 ID = 1; }
message LeaseKeepAliveResponse { ResponseHeader header = 1; int64 ID = 2; int64 TTL = 3; }

message StatusRequest {}
message StatusResponse {
  ResponseHeader header = 1; string version = 2; int64 dbSize = 3; uint64 leader = 4; uint64 raftIndex = 5; uint64 raftTerm = 6;
  uint64 raftAppliedIndex = 7; repeated string errors = 8; int64 dbSizeInUse = 9;
}

message AuthenticateRequest { string name = 1; string password = 2; }
message AuthenticateResponse { ResponseHeader header = 1; string token = 2; }
`

const { root } = protobuf.parse(DEFINITIONS, { keepCase: true })

/** Sent: numbers may be given as number or decimal string. Received: as `Int64`; absent fields have their defaults. */
type Int64Input = number | string

export interface Int64 {
  toNumber(): number
  toString(): string
}

export interface ResponseHeader {
  readonly cluster_id: Int64
  readonly member_id: Int64
  readonly revision: Int64
}

export interface KeyValue {
  readonly key: Uint8Array
  readonly create_revision: Int64
  readonly mod_revision: Int64
  readonly value: Uint8Array
  readonly lease: Int64
}

/** Event.type. */
export const DELETED = 1
/** Compare.target; its result is always EQUAL, 0. */
export const CompareTarget = { CREATED: 1, MODIFIED: 2, VALUE: 3 } as const

export interface RangeRequest {
  readonly key: Uint8Array
  readonly range_end?: Uint8Array
  readonly limit?: number
  readonly revision?: number
  readonly serializable?: boolean
  readonly count_only?: boolean
}

export interface RangeResponse {
  readonly header: ResponseHeader
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
}

export interface Compare {
  readonly target: number
  readonly key: Uint8Array
  readonly create_revision?: number
  readonly mod_revision?: number
  readonly value?: Uint8Array
}

export interface RequestOp {
  readonly request_range?: RangeRequest
  readonly request_put?: { readonly key: Uint8Array; readonly value: Uint8Array; readonly lease?: Int64Input }
  readonly request_delete_range?: { readonly key: Uint8Array; readonly range_end?: Uint8Array }
}

export interface TxnResponse {
  readonly header: ResponseHeader
  readonly succeeded: boolean
  readonly responses: readonly { readonly response_range: RangeResponse | null }[]
}

export interface WatchResponse {
  readonly header: ResponseHeader
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: Int64
  readonly cancel_reason: string
  readonly events: readonly { readonly type: number; readonly kv: KeyValue }[]
}

/** One call of etcd: its path, and how what goes and what comes is coded. */
export interface Method<Q, R> {
  readonly path: string
  readonly encode: (request: Q) => Buffer
  readonly decode: (bytes: Buffer) => R
}

function method<Q extends object, R>(path: string, request: string, response: string): Method<Q, R> {
  const sent = root.lookupType(`etcdserverpb.${request}`)
  const received = root.lookupType(`etcdserverpb.${response}`)
  return {
    path: `/etcdserverpb.${path}`,
    encode: (value) => Buffer.from(sent.encode(sent.fromObject(value)).finish()),
    decode: (bytes) => received.decode(bytes) as unknown as R,
  }
}

interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}

interface LeaseResponse {
  readonly header: ResponseHeader
  readonly ID: Int64
  readonly TTL: Int64
}

interface WatchRequest {
  readonly create_request: { readonly key: Uint8Array; readonly range_end: Uint8Array; readonly start_revision: number }
}

export interface StatusResponse {
  readonly header: ResponseHeader
  readonly version: string
  readonly dbSize: Int64
  readonly dbSizeInUse: Int64
  /** 0: this member knows no leader. */
  readonly leader: Int64
  readonly raftIndex: Int64
  readonly errors: readonly string[]
}

export const etcd = {
  range: method<RangeRequest, RangeResponse>('KV/Range', 'RangeRequest', 'RangeResponse'),
  txn: method<TxnRequest, TxnResponse>('KV/Txn', 'TxnRequest', 'TxnResponse'),
  watch: method<WatchRequest, WatchResponse>('Watch/Watch', 'WatchRequest', 'WatchResponse'),
  leaseGrant: method<{ readonly TTL: number }, LeaseResponse>('Lease/LeaseGrant', 'LeaseGrantRequest', 'LeaseGrantResponse'),
  leaseRevoke: method<{ readonly ID: Int64Input }, { readonly header: ResponseHeader }>(
    'Lease/LeaseRevoke',
    'LeaseRevokeRequest',
    'LeaseRevokeResponse',
  ),
  leaseKeepAlive: method<{ readonly ID: Int64Input }, LeaseResponse>(
    'Lease/LeaseKeepAlive',
    'LeaseKeepAliveRequest',
    'LeaseKeepAliveResponse',
  ),
  status: method<object, StatusResponse>('Maintenance/Status', 'StatusRequest', 'StatusResponse'),
  authenticate: method<
    { readonly name: string; readonly password: string },
    { readonly header: ResponseHeader; readonly token: string }
  >('Auth/Authenticate', 'AuthenticateRequest', 'AuthenticateResponse'),
}

export function revisionOf(value: Int64): Revision {
  const revision = value.toNumber()
  if (!Number.isSafeInteger(revision))
    throw new StoreError('corrupt', `etcd's revision ${value} is no number that can be counted with`)
  return revision
}

export function entryOf(kv: KeyValue): Entry {
  const lease = kv.lease.toString()
  return {
    key: Buffer.from(kv.key).toString(),
    value: kv.value,
    created: revisionOf(kv.create_revision),
    modified: revisionOf(kv.mod_revision),
    lease: lease === '0' ? null : lease,
  }
}
