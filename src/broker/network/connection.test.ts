import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../bytes/buffer-pool.ts'
import { realClock } from '../../host/clock.ts'
import type { Socket } from '../../host/network.ts'
import { type Answer, Connection, type Serve } from './connection.ts'

const PRODUCE = 0
const FETCH = 1

/** A socket whose client is this test. */
class TestSocket implements Socket {
  readonly local = { host: '127.0.0.1', port: 9092 }
  readonly remote = { host: '127.0.0.1', port: 50000 }
  onData = (_chunk: Buffer) => {}
  onEnd = () => {}
  onDrain = () => {}
  onClose = (_error: Error | undefined) => {}
  pendingBytes = 0
  readonly sent: string[] = []
  writes = 0
  state: 'open' | 'ended' | 'destroyed' = 'open'
  paused = false

  write(chunks: readonly Buffer[]): boolean {
    this.writes++
    for (const chunk of chunks) this.sent.push(chunk.toString())
    return true
  }
  pause() {
    this.paused = true
  }
  resume() {
    this.paused = false
  }
  end() {
    this.state = 'ended'
  }
  destroy() {
    this.state = 'destroyed'
    this.onClose(undefined)
  }
}

function request(key: number, name: string): Buffer {
  const body = Buffer.concat([Buffer.from([0, key]), Buffer.from(name)])
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(body.length)
  return Buffer.concat([prefix, body])
}

/** A connection whose requests are answered when the test says so. */
function connect(maxFrameBytes = 1000) {
  const admission = {
    open: true,
    proceed: () => {},
    whenOpen(proceed: () => void) {
      admission.proceed = proceed
    },
  }
  const socket = new TestSocket()
  const started: string[] = []
  const answers = new Map<string, (answer: Answer) => void>()
  const reasons: string[] = []
  const serve: Serve = (frame) => {
    const name = frame.subarray(2).toString()
    started.push(name)
    if (name.startsWith('now')) return { chunks: [Buffer.from(name)] }
    return new Promise((resolve) => answers.set(name, resolve))
  }
  const connection = new Connection({
    socket,
    clock: realClock,
    pool: new BufferPool(),
    maxFrameBytes,
    serve,
    admission,
    report: (reason) => reasons.push(reason),
    listener: 'PLAINTEXT',
  })
  const answer = async (name: string, answer: Answer = { chunks: [Buffer.from(name)] }) => {
    answers.get(name)!(answer)
    await new Promise(setImmediate)
  }
  return { socket, connection, started, answer, reasons, admission }
}

test('a request waits until the one before it is answered', async () => {
  const { socket, started, answer } = connect()
  socket.onData(Buffer.concat([request(FETCH, 'a'), request(FETCH, 'b')]))
  assert.deepEqual(started, ['a'])
  assert.equal(socket.paused, true)
  await answer('a')
  assert.deepEqual(started, ['a', 'b'])
  assert.equal(socket.paused, false)
})

test('produce requests start while others wait for the disk, and are answered in their order', async () => {
  const { socket, started, answer } = connect()
  socket.onData(Buffer.concat([request(PRODUCE, 'p1'), request(PRODUCE, 'p2'), request(FETCH, 'f'), request(PRODUCE, 'p3')]))
  assert.deepEqual(started, ['p1', 'p2'])
  await answer('p2')
  assert.deepEqual(socket.sent, [])
  await answer('p1')
  assert.deepEqual(socket.sent, ['p1', 'p2'])
  assert.deepEqual(started, ['p1', 'p2', 'f'])
  await answer('f')
  assert.deepEqual(started, ['p1', 'p2', 'f', 'p3'])
})

test('what one write of the disk answers leaves in one write of the socket', async () => {
  const { socket, answer } = connect()
  socket.onData(Buffer.concat([request(PRODUCE, 'p1'), request(PRODUCE, 'p2'), request(PRODUCE, 'p3')]))
  await Promise.all([answer('p1'), answer('p2'), answer('p3')])
  assert.deepEqual(socket.sent, ['p1', 'p2', 'p3'])
  assert.equal(socket.writes, 1)
})

test('a request that gets no answer holds nobody up', () => {
  const { socket } = connect()
  socket.onData(Buffer.concat([request(PRODUCE, 'now 1'), request(FETCH, 'now 2')]))
  assert.deepEqual(socket.sent, ['now 1', 'now 2'])
})

test('no request starts while the client does not read its answers', () => {
  const { socket, started } = connect()
  socket.pendingBytes = 100_000_000
  socket.onData(request(FETCH, 'now'))
  assert.deepEqual(started, [])
  assert.equal(socket.paused, true)
  socket.pendingBytes = 0
  socket.onDrain()
  assert.deepEqual(started, ['now'])
})

test('no produce request starts while too much waits for the disk; others do', () => {
  const { socket, started, admission } = connect()
  admission.open = false
  socket.onData(Buffer.concat([request(FETCH, 'now fetch'), request(PRODUCE, 'now produce')]))
  assert.deepEqual(started, ['now fetch'])
  assert.equal(socket.paused, true)
  admission.open = true
  admission.proceed()
  assert.deepEqual(started, ['now fetch', 'now produce'])
  assert.equal(socket.paused, false)
})

test('a frame that is too large cuts the connection with one line that says why', () => {
  const { socket, reasons } = connect(10)
  socket.onData(request(FETCH, 'more than ten bytes'))
  assert.equal(socket.state, 'destroyed')
  assert.deepEqual(reasons, ['frame of 21 bytes; socket.request.max.bytes allows 10'])
})

test('a client that hangs up behind its last produce request has it served and answered', async () => {
  const { socket, answer } = connect()
  socket.onData(request(PRODUCE, 'last'))
  socket.onEnd()
  assert.equal(socket.state, 'open')
  await answer('last')
  assert.deepEqual(socket.sent, ['last'])
  assert.equal(socket.state, 'ended')
})

test('a client that hangs up during a long poll is let go at once', () => {
  const { socket, connection } = connect()
  let told = false
  connection.onClose(() => {
    told = true
  })
  socket.onData(request(FETCH, 'parked'))
  socket.onEnd()
  assert.equal(socket.state, 'destroyed')
  assert.equal(told, true)
})

test('an answer of close ends the connection and serves nothing behind it', async () => {
  const { socket, started, answer } = connect()
  socket.onData(Buffer.concat([request(FETCH, 'a'), request(FETCH, 'b')]))
  await answer('a', 'close')
  assert.equal(socket.state, 'ended')
  assert.deepEqual(started, ['a'])
})
