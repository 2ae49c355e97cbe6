// The codecs against the libraries that clients use, and against what hostile peers send.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import zlib from 'node:zlib'
import snappyLibrary from 'snappy'
import { DecodeError } from '../reader.ts'
import { CompressionCodec, codecName, compress, decompress, isCodecId } from './codecs.ts'
import { CompressionError } from './compression-error.ts'

const require = createRequire(import.meta.url)
const { gzip, snappy, lz4, zstd } = CompressionCodec
const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `{"id":${i},"name":"user ${(i * 7919) % 1000}"}`).join('\n'))
const problem = (expected: string) => (error: unknown) => error instanceof CompressionError && error.problem === expected

for (const [name, id] of Object.entries(CompressionCodec)) {
  test(`${name} gives back what it was given, whether empty, short or long`, () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('a'), text.subarray(0, 1000), text, Buffer.alloc(3_000_000)]) {
      const compressed = compress(id, bytes)
      assert.deepEqual(decompress(id, compressed, bytes.length), bytes)
      if (id !== 0 && bytes.length > 100) assert.ok(compressed.length < bytes.length)
    }
  })

  test(`${name} refuses output above the limit`, () => {
    for (const bytes of [Buffer.alloc(10_000), text]) {
      const compressed = compress(id, bytes)
      assert.throws(() => decompress(id, compressed, bytes.length - 1), problem('too-large'))
      assert.throws(() => decompress(id, compressed, 0), problem('too-large'))
    }
  })

  test(`${name} refuses bytes that are cut short or are something else`, () => {
    if (id === 0) return
    const compressed = compress(id, text)
    for (const length of [0, 1, 3, 6, 10, 19, 100, compressed.length - 1]) {
      assert.throws(() => decompress(id, compressed.subarray(0, length), 1_000_000), DecodeError, `${length} bytes`)
    }
    assert.throws(() => decompress(id, Buffer.from('neither this nor that, but some text'), 1_000_000), problem('corrupt'))
  })
}

test('an id without a codec is refused by name', () => {
  for (const id of [5, 6, 7, -1]) {
    assert.equal(isCodecId(id), false)
    assert.throws(() => codecName(id), problem('unknown-codec'))
    assert.throws(() => compress(id, text), problem('unknown-codec'))
    assert.throws(() => decompress(id, text, 1), problem('unknown-codec'))
  }
  assert.equal(codecName(3), 'lz4')
})

test('a higher level makes gzip and zstd smaller', () => {
  assert.ok(compress(gzip, text, 9).length < compress(gzip, text, 1).length)
  assert.ok(compress(zstd, text, 19).length < compress(zstd, text, -5).length)
  assert.deepEqual(decompress(zstd, compress(zstd, text, 19), text.length), text)
})

test('snappy is written as the block stream of snappy-java, and read as one', () => {
  const stream = compress(snappy, text)
  assert.equal(stream.toString('hex', 0, 16), '82534e41505059000000000100000001')
  const length = stream.readInt32BE(16)
  assert.deepEqual(snappyLibrary.uncompressSync(stream.subarray(20, 20 + length)), text.subarray(0, 65_536))
})

test('snappy streams that follow one another are read as one', () => {
  const joined = Buffer.concat([compress(snappy, Buffer.from('one ')), compress(snappy, Buffer.from('two'))])
  assert.equal(decompress(snappy, joined, 7).toString(), 'one two')
  assert.throws(() => decompress(snappy, joined, 6), problem('too-large'))
})

test('a bare snappy block, as librdkafka writes it, is read', () => {
  assert.deepEqual(decompress(snappy, snappyLibrary.compressSync(text), text.length), text)
})

test('a snappy block that declares more than its bytes can hold gets no memory', () => {
  const lie = Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0x7f]), snappyLibrary.compressSync('x').subarray(1)])
  assert.throws(() => decompress(snappy, lie, 1 << 30), problem('corrupt'))
  assert.throws(() => decompress(snappy, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1 << 30), problem('corrupt'))
})

test('an lz4 frame has independent blocks, as the Java client demands', () => {
  const frame = compress(lz4, text)
  assert.equal(frame.readUInt32LE(0), 0x184d2204)
  assert.equal(frame[4] & 0x20, 0x20)
})

test('lz4 checksums are verified where the writer sent them', () => {
  const { compressFrameSync } = require('lz4-napi')
  for (const options of [{ contentChecksum: true }, { blockChecksums: true }, { contentChecksum: true, blockChecksums: true }]) {
    const frame = compressFrameSync(text, options)
    assert.deepEqual(decompress(lz4, frame, text.length), text)
    frame[frame.length - 100] ^= 1
    assert.throws(() => decompress(lz4, frame, text.length), problem('corrupt'))
  }
})

test('an lz4 frame whose blocks depend on one another, as liblz4 writes by default, is read', () => {
  // Two blocks: the second repeats the first through a match that reaches back over the border.
  const header = Buffer.from('04224d184040c0', 'hex')
  const first = Buffer.concat([Buffer.from('0b000080', 'hex'), Buffer.from('hello world')])
  const second = Buffer.concat([Buffer.from('09000000020b0050', 'hex'), Buffer.from('again')])
  const frame = Buffer.concat([header, first, second, Buffer.alloc(4)])
  assert.equal(decompress(lz4, frame, 100).toString(), 'hello worldhello again')
  assert.equal(decompress(lz4, frame, 22).toString(), 'hello worldhello again')
  assert.throws(() => decompress(lz4, frame, 21), problem('too-large'))
})

test('an lz4 frame that declares its size is refused by it', () => {
  const frame = Buffer.concat([Buffer.from('04224d1868', 'hex'), Buffer.from([0x40]), Buffer.alloc(13)])
  frame.writeBigUInt64LE(1n << 40n, 6)
  assert.throws(() => decompress(lz4, frame, 1 << 30), problem('too-large'))
})

test('a second lz4 frame, and the old format without frames, are refused', () => {
  const frame = compress(lz4, text)
  assert.throws(() => decompress(lz4, Buffer.concat([frame, frame]), 10_000_000), problem('corrupt'))
  assert.throws(() => decompress(lz4, Buffer.from('02214c1800000000', 'hex'), 10_000_000), problem('corrupt'))
})

test('members of gzip that follow one another are read as one', () => {
  const members = Buffer.concat([zlib.gzipSync('one '), zlib.gzipSync('two')])
  assert.equal(decompress(gzip, members, 100).toString(), 'one two')
})

test('no library is loaded before its codec is used', () => {
  const program = `
    import { createRequire } from 'node:module'
    const { compress } = await import(${JSON.stringify(new URL('./codecs.ts', import.meta.url).href)})
    const loaded = () => Object.keys(createRequire(process.cwd() + '/x').cache).filter((path) => /snappy|lz4/.test(path)).length
    const before = loaded()
    compress(2, Buffer.from('x'))
    console.log(before, loaded() > 0)`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  assert.equal(run.stdout.trim(), '0 true', run.stderr)
})
