// TCP as an argument: real (real-network.ts), or in memory for tests and simulation.

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** One byte stream. Handlers are set once, by whoever takes the connection over. */
export interface Socket {
  /** As the kernel knows them: IPv4 addresses of a dual-stack socket come without their `::ffff:`. */
  readonly local: Endpoint
  readonly remote: Endpoint
  /** Of a connection that came in, the chunk is on loan: it is overwritten when the call returns. Of one that went out, it may be kept. */
  onData: (chunk: Buffer) => void
  /** The peer has sent its last byte. */
  onEnd: () => void
  /** What was written has drained, after a `write` that returned false. */
  onDrain: () => void
  /** Once, at last, whatever the reason. */
  onClose: (error: Error | undefined) => void
  /** The chunks in order, as one write. False asks the caller to wait for `onDrain`. `sent` is called once the chunks may be changed. */
  write(chunks: readonly Buffer[], sent?: () => void): boolean
  /** Stops and resumes `onData`. */
  pause(): void
  resume(): void
  /** Bytes accepted by `write` and not yet by the kernel. */
  readonly pendingBytes: number
  /** Sends what is pending, then closes. */
  end(): void
  /** Closes at once. */
  destroy(): void
}

export interface Listener {
  /** With the port that was given where 0 was asked. */
  readonly endpoint: Endpoint
  /** No new connections; the open ones go on. */
  close(): Promise<void>
}

export interface Network {
  /** Rejects with the operating system's code: EADDRINUSE, EACCES, EADDRNOTAVAIL. */
  listen(endpoint: Endpoint, onConnection: (socket: Socket) => void, backlog?: number): Promise<Listener>
  connect(endpoint: Endpoint, timeoutMs: number): Promise<Socket>
}
