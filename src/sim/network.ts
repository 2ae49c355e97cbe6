// A network in simulated time: byte streams between named hosts, in order within a connection and late by chance, which split where it hurts.
// Links can be cut in one direction or both: what is on its way then waits, as TCP would have it, until the link is back or somebody
// gives up.

import type { Endpoint, Listener, Network, Socket } from '../host/network.ts'
import type { Dice, Pass, Simulation } from './simulation.ts'

/** What outlives processes. */
interface Fabric {
  readonly simulation: Simulation
  readonly listeners: Map<string, { host: SimHost; accept: (socket: Socket) => void }>
  /** `from>to`. */
  readonly cuts: Set<string>
  readonly pipes: Set<Pipe>
  latencyUs: { least: number; most: number }
  nextPort: number
}

export class SimNetwork {
  private readonly fabric: Fabric

  constructor(simulation: Simulation) {
    this.fabric = {
      simulation,
      listeners: new Map(),
      cuts: new Set(),
      pipes: new Set(),
      latencyUs: { least: 50, most: 500 },
      nextPort: 10_000,
    }
  }

  /** The network as one process on that host has it. */
  host(name: string): SimHost {
    return new SimHost(this.fabric, name)
  }

  /** Of one way, by chance, for each piece. */
  set latencyUs(range: { readonly least: number; readonly most: number }) {
    this.fabric.latencyUs = range
  }

  /** Nothing goes from one to the other any more. */
  cut(from: string, to: string): void {
    this.fabric.cuts.add(`${from}>${to}`)
  }

  heal(from: string, to: string): void {
    this.fabric.cuts.delete(`${from}>${to}`)
    for (const pipe of this.fabric.pipes) pipe.release()
  }

  /** The host and all others. */
  isolate(name: string, others: readonly string[]): void {
    for (const other of others) {
      this.cut(name, other)
      this.cut(other, name)
    }
  }

  healAll(): void {
    this.fabric.cuts.clear()
    for (const pipe of this.fabric.pipes) pipe.release()
  }

  isCut(from: string, to: string): boolean {
    return this.fabric.cuts.has(`${from}>${to}`)
  }
}

/** One direction of a connection. */
class Pipe {
  private readonly fabric: Fabric
  private readonly link: string
  /** Of the link: what goes over one changes nothing for the others. */
  readonly dice: Dice
  private lastUs = 0
  /** What has come to the cut. */
  private held: (() => void)[] = []

  constructor(fabric: Fabric, from: string, to: string) {
    this.fabric = fabric
    this.link = `${from}>${to}`
    this.dice = fabric.simulation.stream(`link ${this.link}`)
    fabric.pipes.add(this)
  }

  send(arrive: () => void): void {
    const { simulation, latencyUs } = this.fabric
    this.lastUs = Math.max(this.lastUs, simulation.nowUs + this.dice.between(latencyUs.least, latencyUs.most))
    simulation.after(this.lastUs - simulation.nowUs, () => {
      if (this.held.length > 0 || this.fabric.cuts.has(this.link)) this.held.push(arrive)
      else arrive()
    })
  }

  release(): void {
    if (this.fabric.cuts.has(this.link)) return
    for (const arrive of this.held.splice(0)) arrive()
  }

  close(): void {
    this.fabric.pipes.delete(this)
  }
}

export class SimHost implements Network {
  readonly name: string
  running = true
  /** What the process notices goes through here: a gate that is shut while it is paused. */
  pass: Pass = (run) => run()
  private readonly fabric: Fabric
  private readonly sockets = new Set<SimSocket>()

  constructor(fabric: Fabric, name: string) {
    this.fabric = fabric
    this.name = name
  }

  async listen({ port }: Endpoint, onConnection: (socket: Socket) => void): Promise<Listener> {
    const endpoint = { host: this.name, port: port === 0 ? this.fabric.nextPort++ : port }
    const key = addressOf(endpoint)
    if (this.fabric.listeners.has(key)) throw failure('EADDRINUSE', endpoint)
    this.fabric.listeners.set(key, { host: this, accept: onConnection })
    return {
      endpoint,
      close: async () => {
        this.fabric.listeners.delete(key)
      },
    }
  }

  connect(endpoint: Endpoint, timeoutMs: number): Promise<Socket> {
    const { fabric } = this
    return new Promise((resolve, reject) => {
      const there = new Pipe(fabric, this.name, endpoint.host)
      const back = new Pipe(fabric, endpoint.host, this.name)
      const local = { host: this.name, port: fabric.nextPort++ }
      let waiting = true
      const giveUp = (code: string) => {
        if (!waiting) return
        waiting = false
        there.close()
        back.close()
        this.notice(() => reject(failure(code, endpoint)))
      }
      const timer = fabric.simulation.after(timeoutMs * 1000, () => giveUp('ETIMEDOUT'))
      there.send(() => {
        const listener = fabric.listeners.get(addressOf(endpoint))
        if (listener === undefined) return back.send(() => giveUp('ECONNREFUSED'))
        const mine = new SimSocket(this, local, endpoint, there, fabric)
        const theirs = new SimSocket(listener.host, endpoint, local, back, fabric)
        mine.peer = theirs
        theirs.peer = mine
        listener.host.sockets.add(theirs)
        listener.host.notice(() => listener.accept(theirs))
        back.send(() => {
          if (!waiting || !this.running) return theirs.reset()
          waiting = false
          timer.cancel()
          this.sockets.add(mine)
          this.notice(() => resolve(mine))
        })
      })
    })
  }

  /** The process ends in whatever way: whoever is connected hears of it, as far as the links carry it. */
  kill(): void {
    this.running = false
    for (const [key, { host }] of this.fabric.listeners) if (host === this) this.fabric.listeners.delete(key)
    for (const socket of this.sockets) socket.abandon()
    this.sockets.clear()
  }

  /** What happens to a process that has ended nobody sees. */
  notice(run: () => void): void {
    if (!this.running) return
    this.pass(() => {
      if (this.running) run()
    })
  }

  forget(socket: SimSocket): void {
    this.sockets.delete(socket)
  }
}

class SimSocket implements Socket {
  readonly local: Endpoint
  readonly remote: Endpoint
  onData: (chunk: Buffer) => void = () => {}
  onEnd: () => void = () => {}
  onDrain: () => void = () => {}
  onClose: (error: Error | undefined) => void = () => {}
  readonly pendingBytes = 0
  peer!: SimSocket
  private readonly host: SimHost
  private readonly outgoing: Pipe
  private readonly fabric: Fabric
  private paused = false
  private arrived: Buffer[] = []
  private ended = false
  private closed = false

  constructor(host: SimHost, local: Endpoint, remote: Endpoint, outgoing: Pipe, fabric: Fabric) {
    this.host = host
    this.local = local
    this.remote = remote
    this.outgoing = outgoing
    this.fabric = fabric
  }

  write(chunks: readonly Buffer[], sent?: () => void): boolean {
    if (this.closed || this.ended) return true
    let bytes = Buffer.concat(chunks)
    // Whoever reads must not count on getting what was written in one piece.
    const { dice } = this.outgoing
    if (bytes.length > 1 && dice.chance(0.1)) {
      const at = 1 + dice.below(bytes.length - 1)
      const first = bytes.subarray(0, at)
      bytes = bytes.subarray(at)
      this.outgoing.send(() => this.peer.receive(first))
    }
    this.outgoing.send(() => this.peer.receive(bytes))
    if (sent !== undefined) this.fabric.simulation.after(1, () => this.host.notice(sent))
    return true
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.fabric.simulation.after(1, () => this.host.notice(() => this.deliver()))
  }

  end(): void {
    if (this.closed || this.ended) return
    this.ended = true
    this.outgoing.send(() => {
      this.peer.finish()
      this.close(undefined)
    })
  }

  destroy(): void {
    if (this.closed) return
    this.outgoing.send(() => this.peer.close(undefined))
    this.fabric.simulation.after(1, () => this.close(undefined))
    this.ended = true
  }

  /** Its process is no more. */
  abandon(): void {
    if (!this.closed) this.outgoing.send(() => this.peer.reset())
    this.closed = true
  }

  reset(): void {
    this.close(failure('ECONNRESET', this.remote))
  }

  receive(bytes: Buffer): void {
    if (this.closed || this.ended) return
    this.arrived.push(bytes)
    this.host.notice(() => this.deliver())
  }

  private deliver(): void {
    while (!this.paused && !this.closed && this.arrived.length > 0) {
      this.onData(this.arrived.shift()!)
    }
  }

  private finish(): void {
    this.host.notice(() => {
      if (!this.closed) this.onEnd()
    })
  }

  private close(error: Error | undefined): void {
    if (this.closed) return
    this.closed = true
    this.outgoing.close()
    this.host.forget(this)
    this.host.notice(() => this.onClose(error))
  }
}

function addressOf({ host, port }: Endpoint): string {
  return `${host}:${port}`
}

function failure(code: string, { host, port }: Endpoint): Error {
  return Object.assign(new Error(`${code}: ${host}:${port}`), { code })
}
