// One client's connection: frames in, answers out in the order of the requests.
//
// Kafka handles one request of a connection at a time, and so do we, but for one case: produce requests are started while
// the produce requests before them still wait for the disk. They are appended in order, and answered in order.

import type { BufferPool } from '../../bytes/buffer-pool.ts'
import { DecodeError } from '../../bytes/reader.ts'
import type { Clock } from '../../host/clock.ts'
import type { Socket } from '../../host/network.ts'
import { FrameReader } from './frame-reader.ts'

export interface Reply {
  readonly chunks: readonly Buffer[]
  /** Called when the chunks are with the kernel. Never called if the connection fails before that. */
  readonly sent?: () => void
}

/** Null for a request that gets no answer, 'close' to end the connection. */
export type Answer = Reply | null | 'close'

/**
 * Takes a whole frame; answers at once where it can. A produce request is on loan: its bytes are gone when the call returns.
 * Throws DecodeError for bytes that are no request.
 */
export type Serve = (frame: Buffer, connection: Connection) => Answer | Promise<Answer>

const PRODUCE = 0
/** Produce requests under way on one connection. Java clients send at most 5, librdkafka and Go more. */
const PRODUCES_IN_FLIGHT = 128
/** Answers that a client has not read yet: above this, its next request waits. */
const UNREAD_BYTES = 4 * 1024 * 1024

interface Slot {
  answer: Answer | undefined
}

/** Decides whether another produce request may start. */
export interface Admission {
  readonly open: boolean
  /** Calls back once, when it may be. */
  whenOpen(proceed: () => void): void
}

export interface ConnectionOptions {
  readonly socket: Socket
  readonly clock: Clock
  readonly pool: BufferPool
  readonly maxFrameBytes: number
  readonly serve: Serve
  readonly admission: Admission
  /** One clear line about why a connection was cut. */
  readonly report: (reason: string, connection: Connection) => void
  /** The name of the listener that it came in on. */
  readonly listener: string
}

export class Connection {
  readonly socket: Socket
  readonly listener: string
  /** When bytes last went in or out, in monotonic milliseconds. */
  lastActiveMs: number
  /** Given by ApiVersions v3+. */
  clientSoftware = ''
  private readonly options: ConnectionOptions
  private readonly frames: FrameReader
  /** Frames that have arrived and may not start yet. Reading pauses while there are any. */
  private readonly waiting: Buffer[] = []
  /** Requests that have started, in order; answered ones leave from the front. */
  private readonly started: Slot[] = []
  /** Every request under way is a produce request. */
  private onlyProduces = true
  private awaitingAdmission = false
  private releasing = false
  private paused = false
  private ended = false
  private closed = false
  private readonly closeListeners = new Set<() => void>()

  constructor(options: ConnectionOptions) {
    this.options = options
    this.socket = options.socket
    this.listener = options.listener
    this.frames = new FrameReader(options.maxFrameBytes, options.pool)
    this.lastActiveMs = options.clock.monotonicMs()
    const { socket } = options
    socket.onData = (chunk) => this.receive(chunk)
    socket.onDrain = () => this.advance()
    socket.onEnd = () => {
      // A producer may hang up behind its last request; what it sent is served. Nobody waits for a parked fetch any more.
      if (this.started.length > 0 && !this.onlyProduces) return socket.destroy()
      this.ended = true
      this.advance()
    }
    socket.onClose = () => {
      this.closed = true
      this.waiting.length = 0
      this.frames.close()
      for (const listener of this.closeListeners) listener()
      this.closeListeners.clear()
    }
  }

  /** Nothing waits to be answered or sent. */
  get idle(): boolean {
    return this.started.length === 0 && this.waiting.length === 0 && this.socket.pendingBytes === 0
  }

  /** Calls `listener` once when the connection is gone; at once if it already is. Returns how to take that back. */
  onClose(listener: () => void): () => void {
    if (this.closed) {
      listener()
      return () => {}
    }
    this.closeListeners.add(listener)
    return () => this.closeListeners.delete(listener)
  }

  /** Sends what is answered, then closes. */
  end(): void {
    this.ended = true
    this.advance()
  }

  /** Closes at once and says why. */
  cut(reason: string): void {
    if (this.closed) return
    this.options.report(reason, this)
    this.closed = true
    this.waiting.length = 0
    this.socket.destroy()
  }

  private receive(chunk: Buffer): void {
    this.lastActiveMs = this.options.clock.monotonicMs()
    try {
      this.frames.push(chunk, (frame) => this.arrive(frame))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return this.cut(error.message)
    }
    this.advance()
  }

  /** A produce request that may start is served where it lies; its batches are copied once, to where they stay. */
  private arrive(frame: Buffer): void {
    if (this.closed) return
    if (this.waiting.length === 0 && isProduce(frame) && this.mayStart(frame)) this.start(frame)
    else this.waiting.push(Buffer.from(frame))
  }

  /** Starts what may start, and reads on only if nothing waits. */
  private advance(): void {
    if (this.closed) return
    while (this.waiting.length > 0 && this.mayStart(this.waiting[0])) {
      this.start(this.waiting.shift()!)
      if (this.closed) return
    }
    if (this.waiting.length > 0 !== this.paused) {
      this.paused = !this.paused
      if (this.paused) this.socket.pause()
      else this.socket.resume()
    }
    if (this.ended && this.waiting.length === 0 && this.started.length === 0) this.socket.end()
  }

  private mayStart(frame: Buffer): boolean {
    if (this.socket.pendingBytes > UNREAD_BYTES) return false
    if (isProduce(frame) && !this.options.admission.open) {
      this.awaitAdmission()
      return false
    }
    if (this.started.length === 0) return true
    return this.onlyProduces && this.started.length < PRODUCES_IN_FLIGHT && isProduce(frame)
  }

  private awaitAdmission(): void {
    if (this.awaitingAdmission) return
    this.awaitingAdmission = true
    this.options.admission.whenOpen(() => {
      this.awaitingAdmission = false
      this.advance()
    })
  }

  private start(frame: Buffer): void {
    this.onlyProduces = isProduce(frame)
    let answer: Answer | Promise<Answer>
    try {
      answer = this.options.serve(frame, this)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return this.cut(error.message)
    }
    if (!(answer instanceof Promise)) {
      if (this.started.length === 0) return this.send([answer])
      this.started.push({ answer })
      return
    }
    const slot: Slot = { answer: undefined }
    this.started.push(slot)
    answer.then(
      (value) => {
        slot.answer = value
        this.releaseSoon()
      },
      (error: Error) => this.cut(error.message),
    )
  }

  /** Not at once: one write of the disk answers many requests, and their answers leave in one write, too. */
  private releaseSoon(): void {
    if (this.releasing) return
    this.releasing = true
    queueMicrotask(() => this.release())
  }

  /** Sends every answer that has no unanswered request before it. */
  private release(): void {
    this.releasing = false
    const ready: Answer[] = []
    while (this.started.length > 0 && this.started[0].answer !== undefined) ready.push(this.started.shift()!.answer!)
    if (ready.length === 0) return
    this.send(ready)
    this.advance()
  }

  private send(answers: readonly Answer[]): void {
    if (this.closed) return
    const chunks: Buffer[] = []
    const sent: (() => void)[] = []
    let close = false
    for (const answer of answers) {
      if (answer === 'close') {
        close = true
        break
      }
      if (answer === null) continue
      for (const chunk of answer.chunks) chunks.push(chunk)
      if (answer.sent !== undefined) sent.push(answer.sent)
    }
    if (chunks.length > 0) {
      this.lastActiveMs = this.options.clock.monotonicMs()
      this.socket.write(chunks, sent.length === 0 ? undefined : () => sent.forEach((tell) => void tell()))
    }
    if (close) {
      this.closed = true
      this.waiting.length = 0
      this.socket.end()
    }
  }
}

function isProduce(frame: Buffer): boolean {
  return frame.length >= 2 && frame.readInt16BE(0) === PRODUCE
}
