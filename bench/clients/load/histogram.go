package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Sub-buckets of each power of two: a value is known to within 1/64.
const subBits = 6
const bucketCount = (64 - subBits + 1) << subBits

// histogram counts durations in buckets whose width grows with their value. Safe for concurrent use.
type histogram struct {
	buckets [bucketCount]atomic.Int64
	count   atomic.Int64
	sum     atomic.Int64
	largest atomic.Int64
}

func (h *histogram) record(d time.Duration) {
	ns := max(0, int64(d))
	h.buckets[bucketOf(uint64(ns))].Add(1)
	h.count.Add(1)
	h.sum.Add(ns)
	for {
		largest := h.largest.Load()
		if ns <= largest || h.largest.CompareAndSwap(largest, ns) {
			return
		}
	}
}

func bucketOf(ns uint64) int {
	if ns < 1<<subBits {
		return int(ns)
	}
	shift := bits.Len64(ns) - subBits - 1
	return (shift+1)<<subBits + int(ns>>shift) - 1<<subBits
}

// The largest value that falls into a bucket.
func upperBound(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return (uint64(bucket&(1<<subBits-1)+1<<subBits)+1)<<shift - 1
}

type latencies struct {
	Count  int64   `json:"count"`
	MeanMs float64 `json:"meanMs"`
	P50Ms  float64 `json:"p50Ms"`
	P90Ms  float64 `json:"p90Ms"`
	P99Ms  float64 `json:"p99Ms"`
	P999Ms float64 `json:"p999Ms"`
	MaxMs  float64 `json:"maxMs"`
	// Upper bound in microseconds and count, of every bucket that is not empty.
	Histogram [][2]float64 `json:"histogram"`
}

func (h *histogram) summary() *latencies {
	count := h.count.Load()
	if count == 0 {
		return nil
	}
	result := &latencies{Count: count, MeanMs: float64(h.sum.Load()) / float64(count) / 1e6, MaxMs: float64(h.largest.Load()) / 1e6}
	quantiles := []struct {
		share float64
		into  *float64
	}{{0.5, &result.P50Ms}, {0.9, &result.P90Ms}, {0.99, &result.P99Ms}, {0.999, &result.P999Ms}}
	var seen int64
	for i := range h.buckets {
		n := h.buckets[i].Load()
		if n == 0 {
			continue
		}
		seen += n
		bound := float64(upperBound(i))
		for len(quantiles) > 0 && float64(seen) >= quantiles[0].share*float64(count) {
			*quantiles[0].into = min(bound/1e6, result.MaxMs)
			quantiles = quantiles[1:]
		}
		result.Histogram = append(result.Histogram, [2]float64{bound / 1e3, float64(n)})
	}
	return result
}
