// A load generator for the benchmark: franz-go for Kafka's protocol, nats.go for JetStream, go-redis for streams, bare TCP for the raw limit.
// One command per measurement; each prints one JSON object. bench/clients/load.ts builds and runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

type options struct {
	target      string
	address     string
	topic       string
	partitions  int
	acks        string
	codec       string
	size        int
	payload     string
	records     int64
	seconds     float64
	warmup      float64
	rate        float64
	connections int
	window      int
	batch       int
	linger      time.Duration
	spread      string
	consumers   int
	timeout     time.Duration
	directory   string
	sync        bool
}

var commands = map[string]func(*options) (any, error){
	"create":  create,
	"produce": produce,
	"consume": consume,
	"flow":    flow,
	"latency": latency,
	"first":   first,
	"sink":    sink,
	"evict":   evict,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load create|produce|consume|flow|latency|first|sink|evict [flags]")
		os.Exit(2)
	}
	o := &options{}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.target, "target", "kafka", "kafka, nats, redis or raw")
	flags.StringVar(&o.address, "address", "127.0.0.1:9092", "host:port")
	flags.StringVar(&o.topic, "topic", "load", "topic, stream or key")
	flags.IntVar(&o.partitions, "partitions", 1, "of the topic")
	flags.StringVar(&o.acks, "acks", "all", "0, 1 or all")
	flags.StringVar(&o.codec, "codec", "none", "none, gzip, snappy, lz4 or zstd")
	flags.IntVar(&o.size, "size", 100, "bytes of a record's value")
	flags.StringVar(&o.payload, "payload", "random", "random bytes, or text that can be compressed")
	flags.Int64Var(&o.records, "records", 0, "to send, or for each consumer to receive; 0: until the time is up")
	flags.Float64Var(&o.seconds, "seconds", 0, "to send for; 0: until all records are sent")
	flags.Float64Var(&o.warmup, "warmup", 0, "first seconds at a fixed rate, whose latencies are not counted")
	flags.Float64Var(&o.rate, "rate", 0, "records a second over all connections; 0: as many as go")
	flags.IntVar(&o.connections, "connections", 1, "producers, each with a connection of its own")
	flags.IntVar(&o.window, "window", 0, "unacknowledged records of a producer; 0: 32 MiB of them, at most 100,000")
	flags.IntVar(&o.batch, "batch", 1_000_012, "bytes of a batch, at most")
	flags.DurationVar(&o.linger, "linger", 0, "how long a producer waits for a batch to fill")
	flags.StringVar(&o.spread, "spread", "sticky", "sticky: a partition at a time, filled as Kafka's client does; each: every record goes to the next partition")
	flags.IntVar(&o.consumers, "consumers", 1, "each reads everything")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "after this the command fails")
	flags.StringVar(&o.directory, "directory", "", "sink: where to write; evict: whose files leave the page cache")
	flags.BoolVar(&o.sync, "sync", false, "sink: flush to disk before acknowledging")
	flags.Parse(os.Args[2:])
	if o.window == 0 {
		o.window = min(100_000, max(1, 32<<20/o.size))
	}
	if os.Args[1] != "sink" {
		time.AfterFunc(o.timeout, func() { fail(fmt.Errorf("not done after %v", o.timeout)) })
	}
	result, err := commands[os.Args[1]](o)
	if err != nil {
		fail(err)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}
