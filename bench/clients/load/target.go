package main

import (
	"context"
	"fmt"
)

// A kind of broker, as the loads see it. Partitions mean something to Kafka's only.
type target interface {
	// Creates a topic; resolves when it can be written to.
	create(ctx context.Context, topic string, partitions int) error
	producer(o *options) (producer, error)
	// Reads the topic from its beginning, all partitions.
	consumer(o *options) (consumer, error)
	// The first record to a broker that has just begun to listen, retried until it is acknowledged.
	first(ctx context.Context, o *options) error
}

type producer interface {
	// Hands one record over; blocks while the window is full. The value must not change until done is called, from any goroutine.
	send(partition int32, value []byte, done func(error))
	close()
}

type consumer interface {
	// Hands over the values of records as they come, until the context ends or each returns false.
	run(ctx context.Context, each func(value []byte) bool) error
	close()
}

func targetOf(o *options) (target, error) {
	switch o.target {
	case "kafka":
		return &kafkaTarget{o.address}, nil
	case "nats":
		return &natsTarget{o.address}, nil
	case "redis":
		return &redisTarget{o.address}, nil
	case "raw":
		return &rawTarget{o.address}, nil
	}
	return nil, fmt.Errorf("no target %q", o.target)
}
