import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../bytes/buffer-pool.ts'
import { DecodeError } from '../../bytes/reader.ts'
import { FrameReader } from './frame-reader.ts'

function frame(text: string): Buffer {
  const body = Buffer.from(text)
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(body.length)
  return Buffer.concat([prefix, body])
}

function framesOf(chunks: readonly Buffer[], maxFrameBytes = 1000): string[] {
  const frames: string[] = []
  const reader = new FrameReader(maxFrameBytes, new BufferPool())
  for (const chunk of chunks) reader.push(chunk, (frame) => frames.push(frame.toString()))
  return frames
}

test('frames come out whole wherever the stream is cut in two', () => {
  const stream = Buffer.concat([frame('first'), frame(''), frame('a third one')])
  for (let cut = 0; cut <= stream.length; cut++) {
    assert.deepEqual(framesOf([stream.subarray(0, cut), stream.subarray(cut)]), ['first', '', 'a third one'])
  }
})

test('frames come out whole from single bytes', () => {
  const stream = Buffer.concat([frame('first'), frame('second')])
  assert.deepEqual(framesOf([...stream].map((byte) => Buffer.from([byte]))), ['first', 'second'])
})

test('a frame within one chunk is a view on it', () => {
  const chunk = frame('payload')
  new FrameReader(1000, new BufferPool()).push(chunk, (view) => assert.equal(view.buffer, chunk.buffer))
})

test('a length that is negative or over the limit is refused before anything is buffered', () => {
  assert.throws(() => framesOf([Buffer.from([0xff, 0xff, 0xff, 0xff])]), DecodeError)
  assert.throws(() => framesOf([Buffer.from([0, 0, 3, 0xe9])]), /frame of 1001 bytes; socket.request.max.bytes allows 1000/)
  assert.throws(() => framesOf([Buffer.from([0x7f]), Buffer.from([0xff, 0xff, 0xff])]), DecodeError)
})
