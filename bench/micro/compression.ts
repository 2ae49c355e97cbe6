// What the codecs cost: `node bench/micro/compression.ts`. Microseconds per batch of JSON, the best of several runs.

import { setTimeout as pause } from 'node:timers/promises'
import { CompressionCodec, compress, decompress } from '../../src/bytes/compression/codecs.ts'

const RUNS = 7

async function measure(operations: number, run: () => void): Promise<string> {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < RUNS; i++) {
    const start = process.hrtime.bigint()
    for (let n = 0; n < operations; n++) run()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / operations / 1000)
    // The libraries' memory is given back on turns of the event loop only.
    await pause(5)
  }
  return best.toFixed(1).padStart(9)
}

let text = ''
for (let i = 0; text.length < 1_000_000; i++) text += `{"id":${i},"name":"user ${(i * 7919) % 1000}","value":${Math.sin(i)}}`

console.log('codec      bytes   ratio  compress  decompress')
for (const [name, codecId] of Object.entries(CompressionCodec).slice(1)) {
  for (const size of [1000, 16_000, 100_000, 1_000_000]) {
    const bytes = Buffer.from(text.slice(0, size))
    const compressed = compress(codecId, bytes)
    const operations = Math.min(200, 2_000_000 / size)
    const there = await measure(operations, () => compress(codecId, bytes))
    const back = await measure(operations, () => decompress(codecId, compressed, size))
    console.log(
      `${name.padEnd(7)} ${String(size).padStart(8)} ${(size / compressed.length).toFixed(1).padStart(7)} ${there}   ${back}`,
    )
  }
}
