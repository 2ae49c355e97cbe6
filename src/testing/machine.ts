// The world of one broker of a test cluster: its clock, disk, network and store, each of which stops when the broker is paused, and
// ends when it is killed. What was on its disk stays.

import type { Clock, Timer } from '../host/clock.ts'
import { type Disk, DiskError, type DiskFile, type DiskLock } from '../host/disk.ts'
import type { Endpoint, Listener, Network, Socket } from '../host/network.ts'
import type { SimEtcd, SimEtcdHandle } from '../sim/etcd.ts'

/** Between two processes of a machine no byte passes that these do not let pass. */
export interface Wires {
  /** Whether a connection between two brokers may be, by their ids. */
  readonly allowed: (from: number, to: number) => boolean
  /** Who listens on a port. Clients are nobody's. */
  readonly listening: Map<number, number>
  /** Connections of brokers to brokers. */
  readonly open: Set<{ readonly from: number; readonly to: number; readonly socket: Socket }>
}

/** Never settles: what a dead process asked for. */
const FOREVER = new Promise<never>(() => {})

/** From start to kill, or to the end of the process. */
export class Machine {
  readonly clock: Clock
  readonly disk: Disk
  readonly network: Network
  readonly store: SimEtcdHandle
  /** Whose disk has failed. */
  readonly brokenDirectories = new Set<string>()
  private readonly id: number
  private readonly wires: Wires
  private readonly timers = new Set<Timer>()
  private readonly sockets = new Set<Socket>()
  private readonly listeners = new Set<Listener>()
  private readonly locks = new Set<DiskLock>()
  private dead = false
  /** What waits until the pause is over. */
  private paused: (() => void)[] | undefined

  constructor(id: number, wires: Wires, clock: Clock, disk: Disk, network: Network, etcd: SimEtcd) {
    this.id = id
    this.wires = wires
    this.clock = this.stoppable(clock)
    this.disk = this.mortalDisk(disk)
    this.network = this.mortalNetwork(network)
    this.store = etcd.handle(`broker-${id}`, this.clock)
  }

  /** SIGKILL: nothing more happens, and nobody is told. */
  async kill(): Promise<void> {
    this.dead = true
    for (const timer of this.timers) timer.cancel()
    for (const socket of this.sockets) socket.destroy()
    await Promise.all([...this.listeners].map((listener) => listener.close()))
    await Promise.all([...this.locks].map((lock) => lock.release()))
    await this.store.close()
  }

  /** SIGSTOP: timers do not fire, and what arrives is not read. */
  pause(): void {
    this.paused ??= []
    for (const socket of this.sockets) socket.pause()
  }

  /** SIGCONT. */
  resume(): void {
    const waiting = this.paused ?? []
    this.paused = undefined
    for (const socket of this.sockets) socket.resume()
    for (const run of waiting) this.whenAwake(run)
  }

  private whenAwake(run: () => void): void {
    if (this.dead) return
    if (this.paused !== undefined) this.paused.push(run)
    else run()
  }

  private stoppable(clock: Clock): Clock {
    return {
      wallMs: () => clock.wallMs(),
      monotonicMs: () => clock.monotonicMs(),
      soon: (run) => clock.soon(() => this.whenAwake(run)),
      timer: (delayMs, run) => {
        if (this.dead) return { cancel() {} }
        let cancelled = false
        const timer: Timer = clock.timer(delayMs, () => {
          this.timers.delete(timer)
          this.whenAwake(() => {
            if (!cancelled) run()
          })
        })
        this.timers.add(timer)
        return {
          cancel: () => {
            cancelled = true
            timer.cancel()
            this.timers.delete(timer)
          },
        }
      },
    }
  }

  /** What is answered after the end is answered to nobody. */
  private async alive<T>(work: Promise<T>): Promise<T> {
    if (this.dead) return FOREVER
    try {
      const result = await work
      return this.dead ? FOREVER : result
    } catch (error) {
      if (this.dead) return FOREVER
      throw error
    }
  }

  private requireDisk(path: string): void {
    for (const directory of this.brokenDirectories) {
      if (path === directory || path.startsWith(`${directory}/`)) throw new DiskError('EIO', path, `EIO: i/o error, ${path}`)
    }
  }

  private mortalDisk(disk: Disk): Disk {
    const mortal =
      <A extends [path: string, ...rest: unknown[]], T>(work: (...args: A) => Promise<T>) =>
      async (...args: A): Promise<T> => {
        this.requireDisk(args[0])
        return this.dead ? FOREVER : this.alive(work(...args))
      }
    return {
      open: mortal(async (path: string, mode: 'read' | 'write') => this.mortalFile(await disk.open(path, mode))),
      readFile: mortal((path: string) => disk.readFile(path)),
      replaceFile: mortal((path: string, contents: Buffer) => disk.replaceFile(path, contents)),
      exists: mortal((path: string) => disk.exists(path)),
      fileSize: mortal((path: string) => disk.fileSize(path)),
      rename: mortal((from: string, to: string) => disk.rename(from, to)),
      remove: mortal((path: string) => disk.remove(path)),
      makeDirectory: mortal((path: string) => disk.makeDirectory(path)),
      list: mortal((path: string) => disk.list(path)),
      syncDirectory: mortal((path: string) => disk.syncDirectory(path)),
      space: mortal((path: string) => disk.space(path)),
      lock: mortal(async (path: string) => {
        const lock = await disk.lock(path)
        if (lock !== undefined) this.locks.add(lock)
        return lock
      }),
    }
  }

  private mortalFile(file: DiskFile): DiskFile {
    const mortal =
      <A extends unknown[], T>(work: (...args: A) => Promise<T>) =>
      async (...args: A): Promise<T> => {
        this.requireDisk(file.path)
        return this.dead ? FOREVER : this.alive(work(...args))
      }
    return {
      path: file.path,
      read: mortal((target: Buffer, position: number) => file.read(target, position)),
      write: mortal((chunks: readonly Buffer[], position: number) => file.write(chunks, position)),
      sync: mortal(() => file.sync()),
      truncate: mortal((size: number) => file.truncate(size)),
      size: mortal(() => file.size()),
      close: mortal(() => file.close()),
    }
  }

  private mortalNetwork(network: Network): Network {
    return {
      listen: async (endpoint, onConnection, backlog) => {
        const accept = (socket: Socket) => {
          this.watch(socket)
          onConnection(socket)
        }
        const listener = await network.listen(endpoint, accept, backlog)
        this.listeners.add(listener)
        this.wires.listening.set(listener.endpoint.port, this.id)
        return listener
      },
      connect: async (endpoint: Endpoint, timeoutMs: number) => {
        if (this.dead) return FOREVER
        const to = this.wires.listening.get(endpoint.port)
        const refuse = () => {
          throw new Error(`${endpoint.host}:${endpoint.port} cannot be reached: the network is cut`)
        }
        if (to !== undefined && !this.wires.allowed(this.id, to)) refuse()
        const socket = await this.alive(network.connect(endpoint, timeoutMs))
        this.watch(socket)
        if (to === undefined) return socket
        if (!this.wires.allowed(this.id, to)) {
          socket.destroy()
          refuse()
        }
        this.wires.open.add({ from: this.id, to, socket })
        return socket
      },
    }
  }

  private watch(socket: Socket): void {
    this.sockets.add(socket)
    if (this.paused !== undefined) socket.pause()
    if (this.dead) socket.destroy()
  }
}
