package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis Streams: a topic is a key. Records that are waiting go as one pipeline.
type redisTarget struct{ address string }

// Commands in one pipeline, at most.
const redisPipeline = 512

func (t *redisTarget) connect() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: t.address, PoolSize: 1, ReadTimeout: time.Minute, WriteTimeout: time.Minute, DisableIdentity: true, Protocol: 2})
}

func (t *redisTarget) create(context.Context, string, int) error { return nil }

func (t *redisTarget) producer(o *options) (producer, error) {
	p := &redisProducer{o.topic, t.connect(), make(chan struct{}, o.window), make(chan redisPending, o.window)}
	go p.run()
	return p, nil
}

type redisPending struct {
	value []byte
	done  func(error)
}

type redisProducer struct {
	key     string
	client  *redis.Client
	window  chan struct{}
	pending chan redisPending
}

func (p *redisProducer) send(_ int32, value []byte, done func(error)) {
	p.window <- struct{}{}
	p.pending <- redisPending{value, done}
}

func (p *redisProducer) run() {
	for first := range p.pending {
		batch := []redisPending{first}
		for len(batch) < redisPipeline && len(p.pending) > 0 {
			batch = append(batch, <-p.pending)
		}
		pipeline := p.client.Pipeline()
		for _, pending := range batch {
			pipeline.XAdd(context.Background(), &redis.XAddArgs{Stream: p.key, Values: []any{"v", pending.value}})
		}
		_, err := pipeline.Exec(context.Background())
		for _, pending := range batch {
			<-p.window
			pending.done(err)
		}
	}
}

func (p *redisProducer) close() {
	close(p.pending)
	p.client.Close()
}

func (t *redisTarget) consumer(o *options) (consumer, error) {
	return &redisConsumer{o.topic, t.connect()}, nil
}

type redisConsumer struct {
	key    string
	client *redis.Client
}

func (c *redisConsumer) run(ctx context.Context, each func([]byte) bool) error {
	for id := "0"; ; {
		streams, err := c.client.XRead(ctx, &redis.XReadArgs{Streams: []string{c.key, id}, Count: 1000, Block: 500 * time.Millisecond}).Result()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		for _, message := range streams[0].Messages {
			id = message.ID
			if !each([]byte(message.Values["v"].(string))) {
				return nil
			}
		}
	}
}

func (c *redisConsumer) close() { c.client.Close() }

func (t *redisTarget) first(ctx context.Context, o *options) error {
	return untilAccepted(ctx, func() error {
		client := t.connect()
		defer client.Close()
		return client.XAdd(ctx, &redis.XAddArgs{Stream: o.topic, Values: []any{"v", make([]byte, o.size)}}).Err()
	})
}
