// etcd's own server as processes on loopback, in temporary directories, and a proxy in front of a member that cuts connections.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'

export interface EtcdMember {
  /** `host:port` for clients. */
  readonly address: string
  /** SIGKILL, SIGTERM … as given; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** SIGSTOP and SIGCONT. */
  pause(): void
  resume(): void
  /** Again, on what it had. */
  start(): Promise<void>
}

export interface EtcdCluster extends AsyncDisposable {
  readonly members: readonly EtcdMember[]
  readonly addresses: readonly string[]
}

/** Resolves when every member answers. */
export async function startEtcd(size = 1, flags: readonly string[] = []): Promise<EtcdCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-'))
  const ports = await freePorts(2 * size)
  const url = (port: number) => `http://127.0.0.1:${port}`
  const initial = Array.from({ length: size }, (_, i) => `m${i}=${url(ports[2 * i + 1])}`).join(',')
  const members = Array.from(
    { length: size },
    (_, i) => new Member(i, directory, url(ports[2 * i]), url(ports[2 * i + 1]), initial, flags),
  )
  const dispose = async () => {
    await Promise.all(members.map((member) => member.kill('SIGKILL')))
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all(members.map((member) => member.start()))
  } catch (error) {
    await dispose()
    throw error
  }
  return { members, addresses: members.map((member) => member.address), [Symbol.asyncDispose]: dispose }
}

class Member implements EtcdMember {
  readonly address: string
  private readonly arguments: readonly string[]
  private child: ChildProcess | undefined
  private said = ''

  constructor(index: number, directory: string, client: string, peer: string, initial: string, flags: readonly string[]) {
    this.address = client.slice('http://'.length)
    this.arguments = [
      ['--name', `m${index}`],
      ['--data-dir', join(directory, `m${index}`)],
      ['--listen-client-urls', client],
      ['--advertise-client-urls', client],
      ['--listen-peer-urls', peer],
      ['--initial-advertise-peer-urls', peer],
      ['--initial-cluster', initial],
      ['--logger', 'zap'],
      ['--log-level', 'error'],
      flags,
    ].flat()
  }

  async start(): Promise<void> {
    const child = spawn('etcd', this.arguments, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.child = child
    child.on('error', (error) => {
      this.said += error.message
    })
    child.stderr!.on('data', (text) => {
      this.said = (this.said + text).slice(-4096)
    })
    await eventually(
      async () => {
        if (child.exitCode !== null || child.pid === undefined) throw new Error(`etcd ended: ${this.said}`)
        const response = await fetch(`http://${this.address}/health`)
        const { health } = (await response.json()) as { health: string }
        if (health !== 'true') throw new Error('etcd has no leader yet')
      },
      { withinMs: 30_000 },
    )
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { child } = this
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  pause(): void {
    this.child?.kill('SIGSTOP')
  }

  resume(): void {
    this.child?.kill('SIGCONT')
  }
}

/** A way to an address that can be cut. */
export interface Proxy extends AsyncDisposable {
  readonly address: string
  /** Connections that there were so far. */
  readonly count: number
  /** Breaks every connection; new ones are taken. */
  cut(): void
}

export async function startProxy(target: string): Promise<Proxy> {
  const [host, port] = target.split(':')
  const sockets = new Set<Socket>()
  let count = 0
  const server: Server = createServer((near) => {
    count++
    const far = dial(Number(port), host)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(from)
      from.pipe(to)
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    get count() {
      return count
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Held together, so that they differ; let go, so that etcd can take them. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Server>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
