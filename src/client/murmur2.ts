// murmur2 in 32 bits with Kafka's seed: every client of every language must put a key into the same partition.
// https://en.wikipedia.org/wiki/MurmurHash#MurmurHash2

const MULTIPLIER = 0x5bd1e995
const SEED = 0x9747b28c

/** A signed 32-bit number. */
export function murmur2(bytes: Buffer): number {
  const length = bytes.length
  let hash = SEED ^ length
  let position = 0
  for (; length - position >= 4; position += 4) {
    let word = Math.imul(bytes.readInt32LE(position), MULTIPLIER)
    word ^= word >>> 24
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER)
  }
  const rest = length - position
  if (rest > 0) {
    for (let i = 0; i < rest; i++) hash ^= bytes[position + i] << (8 * i)
    hash = Math.imul(hash, MULTIPLIER)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, MULTIPLIER)
  return hash ^ (hash >>> 15)
}
