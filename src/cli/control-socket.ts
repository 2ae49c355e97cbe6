// How a command on the same machine asks a running broker for something that no client of the network may: over a socket in the data
// directory, which whoever may read the data may open. One line of JSON each way.

import { chmod, rm } from 'node:fs/promises'
import { createConnection, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** In the first of the data directories. */
const SOCKET_FILE = '.control'
/** Of an address: what all systems take. */
const LONGEST_PATH = 100
const LONGEST_REQUEST = 64 * 1024

export interface ControlRequest {
  readonly command: 'backup'
  /** Absolute. */
  readonly directory: string
}

export type ControlAnswer =
  | { readonly ok: true; readonly logs: number; readonly bytes: number }
  | { readonly ok: false; readonly error: string }

function addressOf(dataDirectory: string): string {
  // Windows has no files for this, but names.
  if (process.platform !== 'win32') return join(dataDirectory, SOCKET_FILE)
  return `\\\\.\\pipe\\moldau-${dataDirectory.replaceAll(/[\\/:]/g, '-')}`
}

/** Undefined where the path of the data directory is too long for a socket. The directory must be locked: what lies there is a leftover. */
export async function listenForControl(
  dataDirectory: string,
  answer: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<Server | undefined> {
  const address = addressOf(dataDirectory)
  if (Buffer.byteLength(address) > LONGEST_PATH) return undefined
  if (process.platform !== 'win32') await rm(address, { force: true })
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    let request = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      request += chunk
      if (request.length > LONGEST_REQUEST) return socket.destroy()
      const end = request.indexOf('\n')
      if (end === -1) return
      socket.removeAllListeners('data').resume()
      void answered(request.slice(0, end), answer).then((line) => socket.end(`${JSON.stringify(line)}\n`))
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(address, resolve))
  if (process.platform !== 'win32') await chmod(address, 0o600)
  // It keeps no process alive.
  return server.unref()
}

async function answered(line: string, answer: (request: ControlRequest) => Promise<ControlAnswer>): Promise<ControlAnswer> {
  try {
    const request = JSON.parse(line) as Partial<ControlRequest>
    if (request.command !== 'backup' || typeof request.directory !== 'string') return { ok: false, error: 'no such command' }
    return await answer({ command: 'backup', directory: request.directory })
  } catch (error) {
    return { ok: false, error: (error as Error).message }
  }
}

/** Undefined where no broker listens. */
export async function askBroker(dataDirectory: string, request: ControlRequest): Promise<ControlAnswer | undefined> {
  const socket = createConnection(addressOf(dataDirectory))
  try {
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') return undefined
    throw error
  }
  socket.write(`${JSON.stringify(request)}\n`)
  const answer = await text(socket)
  if (answer === '') return { ok: false, error: 'the broker has gone away: what is in the directory is no backup' }
  return JSON.parse(answer) as ControlAnswer
}
