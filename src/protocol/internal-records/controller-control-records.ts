// Control records of the log that Kafka's controllers keep, and of its snapshots: who leads, who votes, where a snapshot begins and
// ends. Each value opens with its version, which is a field of it, too.

import { Reader } from '../../bytes/reader.ts'
import {
  array,
  type Fields,
  int16,
  int32,
  int64,
  type Message,
  message,
  string,
  struct,
  uint16,
  uuid,
  within,
} from '../schema.ts'

const voters = () => array({ voterId: int32(), voterDirectoryId: uuid('1+') })

function record<const F extends Fields>(name: string, fields: F, versions = '0'): Message<F> {
  return message(name, { versions, flexible: '0+', fields })
}

/** By what the key says behind its version; ids below are markers of transactions (records/control-record.ts). */
export const controllerControlRecords: ReadonlyMap<number, Message> = new Map<number, Message>([
  [2, record('LeaderChangeMessage', { version: int16(), leaderId: int32(), voters: voters(), grantingVoters: voters() }, '0-1')],
  [3, record('SnapshotHeaderRecord', { version: int16(), lastContainedLogTimestamp: int64() })],
  [4, record('SnapshotFooterRecord', { version: int16() })],
  [5, record('KRaftVersionRecord', { version: int16(), kRaftVersion: int16() })],
  [
    6,
    record('VotersRecord', {
      version: int16(),
      voters: array({
        voterId: int32(),
        voterDirectoryId: uuid(),
        endpoints: array({ name: string(), host: string(), port: uint16() }),
        kRaftVersionFeature: struct({ minSupportedVersion: int16(), maxSupportedVersion: int16() }),
      }),
    }),
  ],
] as [number, Message][])

export interface ControllerControlRecord {
  readonly message: Message
  readonly version: number
  readonly value: Record<string, unknown>
}

/** Undefined for a type or version that is not known. Throws DecodeError. */
export function decodeControllerControlRecord(id: number, value: Buffer | null): ControllerControlRecord | undefined {
  const message = controllerControlRecords.get(id)
  if (message === undefined || value === null) return undefined
  const version = new Reader(value).int16()
  if (!within(message.versions, version)) return undefined
  return { message, version, value: message.decode(new Reader(value), version) }
}
