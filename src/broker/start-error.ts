// Why a broker did not start, in a sentence that says what to do.

import { ClusterIdError } from '../cluster/found-cluster.ts'
import { MetadataRollbackError } from '../cluster/member-state.ts'
import { MetadataFormatError } from '../cluster/metadata-records.ts'
import { StoreError } from '../cluster/store/metadata-store.ts'
import { DiskError } from '../host/disk.ts'
import { LogDirectoryError } from '../log/log-directory.ts'
import { KafkaError } from '../protocol/error-codes.ts'

export class StartError extends Error {
  override readonly name = 'StartError'
}

/** The system's word for what went wrong with a listener. */
export function listenError(host: string, port: number, error: NodeJS.ErrnoException): StartError {
  const address = `${host === '' ? 'port' : `${host}:`}${host === '' ? ' ' : ''}${port}`
  const options = { cause: error }
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartError(
        `${address} is in use: stop what listens there, or choose another port with --port (0 picks a free one)`,
        options,
      )
    case 'EACCES':
      return new StartError(
        `no permission to listen on ${address}: ports below 1024 are for root, choose another with --port`,
        options,
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartError(
        `${host} is not an address of this machine: choose one with --host, or leave it away to listen on all`,
        options,
      )
    default:
      return new StartError(`cannot listen on ${address}: ${error.message}`, options)
  }
}

/** Errors whose message says already what to do. */
const EXPLAINED = [LogDirectoryError, StoreError, ClusterIdError, MetadataFormatError, MetadataRollbackError]

/** The system's word for what went wrong with a data directory; anything else is passed on as it is. */
export function diskStartError(error: unknown): unknown {
  const options = { cause: error }
  if (error instanceof StoreError && error.reason === 'locked') {
    return new StartError(
      'the data directory is in use by another broker: stop it, or choose another directory with --data-dir',
      options,
    )
  }
  if (error instanceof KafkaError && error.code === 'DUPLICATE_BROKER_REGISTRATION')
    return new StartError(`${error.message}: stop it, or give this one another id with --node-id`, options)
  if (error instanceof KafkaError && error.code === 'REQUEST_TIMED_OUT') {
    return new StartError(
      `${error.message}: do the brokers of the cluster reach each other, and all of them the metadata store? "moldau cluster check" tells`,
      options,
    )
  }
  if (EXPLAINED.some((type) => error instanceof type)) return new StartError((error as Error).message, options)
  if (!(error instanceof DiskError)) return error
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new StartError(
        `no permission to write ${error.path}: mend its owner or mode, or choose another directory with --data-dir`,
        options,
      )
    case 'ENOSPC':
    case 'EDQUOT':
      return new StartError(
        `the disk of ${error.path} is full: make room, or choose another directory with --data-dir. Nothing was damaged`,
        options,
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return new StartError(`${error.path} is not a directory: choose another with --data-dir`, options)
    default:
      return new StartError(`${error.path}: ${error.message}`, options)
  }
}
