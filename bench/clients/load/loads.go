package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

type sent struct {
	Records        int64      `json:"records"`
	Seconds        float64    `json:"seconds"`
	ConnectSeconds float64    `json:"connectSeconds,omitempty"`
	Latency        *latencies `json:"latency,omitempty"`
}

// create times the creation of a topic until its partitions can be written to.
func create(o *options) (any, error) {
	t, err := targetOf(o)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = t.create(context.Background(), o.topic, o.partitions)
	return map[string]float64{"seconds": time.Since(start).Seconds()}, err
}

// produce sends from every connection, at a fixed rate or as fast as it goes, and waits for all acknowledgements.
// At a fixed rate latency counts from when a record was due, so that a broker that stalls cannot hide it by delaying the load.
func produce(o *options) (any, error) {
	t, err := targetOf(o)
	if err != nil {
		return nil, err
	}
	producers, connectSeconds, err := open(t, o)
	if err != nil {
		return nil, err
	}
	result, err := run(o, producers, nil)
	if result != nil && o.connections > 1 {
		result.ConnectSeconds = connectSeconds
	}
	return result, err
}

// Each has had one record acknowledged, so that no measurement pays for a connection.
func open(t target, o *options) ([]producer, float64, error) {
	start := time.Now()
	producers := make([]producer, o.connections)
	failures := make(chan error, o.connections)
	// Connecting all at once would test the backlog of the listening socket.
	turn := make(chan struct{}, 64)
	for i := range producers {
		turn <- struct{}{}
		go func() {
			defer func() { <-turn }()
			p, err := t.producer(o)
			if err == nil {
				done := make(chan error, 1)
				p.send(int32(i%o.partitions), make([]byte, o.size), func(err error) { done <- err })
				err = <-done
			}
			producers[i] = p
			failures <- err
		}()
	}
	for range producers {
		if err := <-failures; err != nil {
			return nil, 0, err
		}
	}
	return producers, time.Since(start).Seconds(), nil
}

// run drives the load. A stamp, if given, writes into each value when it was due.
func run(o *options, producers []producer, stamp func(value []byte, due time.Time)) (*sent, error) {
	payloads := payloadsOf(o)
	var histogram histogram
	var pending sync.WaitGroup
	var count, failures atomic.Int64
	var firstFailure atomic.Value
	// Two clock readings per record are a load of their own where records come by the million.
	timed := o.rate > 0 || o.window <= 64
	start := time.Now()
	countFrom := start.Add(time.Duration(o.warmup * float64(time.Second)))
	send := func(p producer, number int64, due time.Time) {
		value := payloads[number%int64(len(payloads))]
		if stamp != nil {
			value = append([]byte(nil), value...)
			stamp(value, due)
		}
		pending.Add(1)
		count.Add(1)
		p.send(int32(number%int64(o.partitions)), value, func(err error) {
			if err != nil {
				failures.Add(1)
				firstFailure.CompareAndSwap(nil, err)
			} else if timed && !due.Before(countFrom) {
				histogram.record(time.Since(due))
			}
			pending.Done()
		})
	}
	if o.rate > 0 {
		paced(o, start, func(number int64, due time.Time) { send(producers[number%int64(len(producers))], number, due) })
	} else {
		flatOut(o, start, producers, timed, send)
	}
	pending.Wait()
	seconds := time.Since(start).Seconds()
	go func() {
		for _, p := range producers {
			p.close()
		}
	}()
	if failures.Load() > 0 {
		return nil, fmt.Errorf("%d of %d records failed, the first with %v", failures.Load(), count.Load(), firstFailure.Load())
	}
	return &sent{Records: count.Load(), Seconds: seconds, Latency: histogram.summary()}, nil
}

func paced(o *options, start time.Time, send func(number int64, due time.Time)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	records := o.records
	if o.seconds > 0 {
		records = int64(o.rate * (o.seconds + o.warmup))
	}
	interval := float64(time.Second) / o.rate
	for number := range records {
		due := start.Add(time.Duration(float64(number) * interval))
		if wait := time.Until(due); wait > 0 {
			sleepExactly(wait)
		}
		send(number, due)
	}
}

func flatOut(o *options, start time.Time, producers []producer, timed bool, send func(p producer, number int64, due time.Time)) {
	var senders sync.WaitGroup
	share := o.records / int64(len(producers))
	for i, p := range producers {
		senders.Add(1)
		go func() {
			defer senders.Done()
			due := start
			for n := int64(0); share == 0 || n < share; n++ {
				if timed || n%1024 == 0 {
					due = time.Now()
					if o.seconds > 0 && due.Sub(start).Seconds() >= o.seconds {
						return
					}
				}
				send(p, n*int64(len(producers))+int64(i), due)
			}
		}()
	}
	senders.Wait()
}

type received struct {
	Records int64      `json:"records"`
	Seconds float64    `json:"seconds"`
	Latency *latencies `json:"latency,omitempty"`
}

// consume reads the topic from its beginning with every consumer; seconds last until the slowest has all.
func consume(o *options) (any, error) {
	t, err := targetOf(o)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = consumeAll(t, o, o.records, nil)
	return &received{Records: o.records * int64(o.consumers), Seconds: time.Since(start).Seconds()}, err
}

// Each consumer on a client of its own, until it has that many records.
func consumeAll(t target, o *options, records int64, each func(value []byte)) error {
	failures := make(chan error, o.consumers)
	for range o.consumers {
		go func() {
			c, err := t.consumer(o)
			if err != nil {
				failures <- err
				return
			}
			var count int64
			err = c.run(context.Background(), func(value []byte) bool {
				if each != nil {
					each(value)
				}
				count++
				return count < records
			})
			failures <- err
			c.close()
		}()
	}
	for range o.consumers {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

// flow produces while consumers read along: seconds last until the slowest consumer has all. What connecting cost has been sent before.
func flow(o *options) (any, error) {
	t, err := targetOf(o)
	if err != nil {
		return nil, err
	}
	producers, _, err := open(t, o)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	failures := make(chan error, 1)
	total := o.records/int64(o.connections)*int64(o.connections) + int64(o.connections)
	go func() { failures <- consumeAll(t, o, total, nil) }()
	if _, err := run(o, producers, nil); err != nil {
		return nil, err
	}
	produceSeconds := time.Since(start).Seconds()
	err = <-failures
	seconds := time.Since(start).Seconds()
	return map[string]float64{"records": float64(total * int64(o.consumers)), "seconds": seconds, "produceSeconds": produceSeconds}, err
}

// latency sends at a fixed rate and measures until consumers have the record, from when it was due.
func latency(o *options) (any, error) {
	if o.size < 8 {
		return nil, fmt.Errorf("a record needs 8 bytes to carry its time")
	}
	t, err := targetOf(o)
	if err != nil {
		return nil, err
	}
	producers, _, err := open(t, o)
	if err != nil {
		return nil, err
	}
	base := time.Now()
	countFrom := time.Duration(o.warmup * float64(time.Second))
	var histogram histogram
	failures := make(chan error, 1)
	total := int64(o.rate*(o.seconds+o.warmup)) + int64(o.connections)
	go func() {
		failures <- consumeAll(t, o, total, func(value []byte) {
			// The records that opened the connections carry none.
			if due := time.Duration(binary.BigEndian.Uint64(value)); due > countFrom {
				histogram.record(time.Since(base) - due)
			}
		})
	}()
	result, err := run(o, producers, func(value []byte, due time.Time) { binary.BigEndian.PutUint64(value, uint64(due.Sub(base))) })
	if err != nil {
		return nil, err
	}
	if err := <-failures; err != nil {
		return nil, err
	}
	return &received{Records: result.Records, Seconds: time.Since(base).Seconds(), Latency: histogram.summary()}, nil
}

// first waits for a broker that is just starting, sends a record, and says when it was acknowledged, in milliseconds since 1970.
func first(o *options) (any, error) {
	t, err := targetOf(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	if err := untilAccepted(ctx, func() error {
		connection, err := net.Dial("tcp", o.address)
		if err == nil {
			connection.Close()
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := t.first(ctx, o); err != nil {
		return nil, err
	}
	return map[string]float64{"acknowledgedAtMs": float64(time.Now().UnixNano()) / 1e6}, nil
}

// Tries every millisecond.
func untilAccepted(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, after %v", ctx.Err(), err)
		case <-time.After(time.Millisecond):
		}
	}
}

const words = "the broker keeps records in order and hands them to whoever asks stream partition offset batch leader replica consumer producer "

// payloadsOf makes some hundred different values that are sent over and over: making them must not be what is measured.
func payloadsOf(o *options) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	payloads := make([][]byte, 509)
	for i := range payloads {
		payloads[i] = make([]byte, o.size)
		for at := 0; at < o.size; {
			if o.payload == "text" {
				from := random.IntN(len(words) - 12)
				at += copy(payloads[i][at:], words[from:from+12])
			} else {
				payloads[i][at] = byte(random.Uint32())
				at++
			}
		}
	}
	return payloads
}
