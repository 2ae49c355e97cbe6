import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConsumerPerformance, parseEndToEndLatency, parseProducerPerformance } from './java-tools.ts'

test("the rate of a producer is its summary's, not an interval's", () => {
  const output = `50000 records sent, 9999.0 records/sec (0.95 MB/sec), 4.1 ms avg latency, 30.0 ms max latency.
100000 records sent, 40832.993058 records/sec (3.89 MB/sec), 723.26 ms avg latency, 1164.00 ms max latency, 776 ms 50th, 1109 ms 95th, 1133 ms 99th, 1164 ms 99.9th.`
  assert.equal(parseProducerPerformance(output, 100_000), 40832.993058)
  assert.throws(() => parseProducerPerformance(output, 50_000), /no summary of 50000/)
})

test('the rate of a consumer leaves out what joining its group took', () => {
  const output = `start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-01-01 10:56:53:505, 2026-01-01 10:56:57:582, 9.5367, 2.3392, 100000, 24527.8391, 3760, 400, 30.0844, 315457.4132`
  assert.equal(parseConsumerPerformance(output, 100_000), 250_000)
  assert.throws(() => parseConsumerPerformance(output, 100_001), /no summary/)
  assert.throws(() => parseConsumerPerformance('', 1), /no summary/)
})

test('a round trip has its mean and its percentiles', () => {
  const output = '0\t80.904072\nAvg latency: 2.8383 ms\nPercentiles: 50th = 1, 99th = 10, 99.9th = 80\n'
  assert.deepEqual(parseEndToEndLatency(output), { meanMs: 2.8383, p50Ms: 1, p99Ms: 10, p999Ms: 80 })
  assert.throws(() => parseEndToEndLatency('Timeout'), /no percentiles/)
})
