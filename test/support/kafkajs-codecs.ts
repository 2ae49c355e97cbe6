// KafkaJS has gzip built in and takes the other codecs from outside: these adapters give it the ones that the repository has,
// in the framing of the packages that its documentation names. Importing this file registers them.

import zlib from 'node:zlib'
import kafkajs, { CompressionTypes } from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappy'

interface Encoder {
  readonly buffer: Buffer
}

/** snappy-java's stream: a magic, two versions, then blocks with their lengths, which is how Java and KafkaJS send snappy. */
const SNAPPY_STREAM = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])

async function compressSnappy({ buffer }: Encoder): Promise<Buffer> {
  const block = await snappy.compress(buffer)
  const length = Buffer.alloc(4)
  length.writeInt32BE(block.length)
  return Buffer.concat([SNAPPY_STREAM, length, block])
}

async function decompressSnappy(buffer: Buffer): Promise<Buffer> {
  if (!buffer.subarray(0, 8).equals(SNAPPY_STREAM.subarray(0, 8))) return snappy.uncompress(buffer) as Promise<Buffer>
  const blocks: Buffer[] = []
  for (let position = SNAPPY_STREAM.length; position < buffer.length; ) {
    const length = buffer.readInt32BE(position)
    blocks.push((await snappy.uncompress(buffer.subarray(position + 4, position + 4 + length))) as Buffer)
    position += 4 + length
  }
  return Buffer.concat(blocks)
}

const { CompressionCodecs } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = () => ({ compress: compressSnappy, decompress: decompressSnappy })
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }: Encoder) => lz4.compressFrame(buffer),
  decompress: async (buffer: Buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async ({ buffer }: Encoder) => zlib.zstdCompressSync(buffer),
  decompress: async (buffer: Buffer) => zlib.zstdDecompressSync(buffer),
})
