package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS JetStream: a topic is a stream on files, with one subject of its name.
type natsTarget struct{ address string }

func (t *natsTarget) connect(opts ...jetstream.JetStreamOpt) (*nats.Conn, jetstream.JetStream, error) {
	connection, err := nats.Connect("nats://" + t.address)
	if err != nil {
		return nil, nil, err
	}
	stream, err := jetstream.New(connection, opts...)
	return connection, stream, err
}

func (t *natsTarget) create(ctx context.Context, topic string, _ int) error {
	connection, stream, err := t.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: topic, Subjects: []string{topic}, Storage: jetstream.FileStorage})
	return err
}

func (t *natsTarget) producer(o *options) (producer, error) {
	// A server takes what is sent faster than it stores, and forgets what it cannot: its own tool keeps 500 under way, we a few thousand.
	pending := min(o.window, 4000)
	connection, stream, err := t.connect(jetstream.WithPublishAsyncMaxPending(pending))
	if err != nil {
		return nil, err
	}
	p := &natsProducer{o.topic, connection, stream, make(chan natsPending, pending)}
	go p.acknowledge()
	return p, nil
}

type natsPending struct {
	future jetstream.PubAckFuture
	done   func(error)
}

type natsProducer struct {
	subject    string
	connection *nats.Conn
	stream     jetstream.JetStream
	pending    chan natsPending
}

func (p *natsProducer) send(_ int32, value []byte, done func(error)) {
	future, err := p.stream.PublishMsgAsync(&nats.Msg{Subject: p.subject, Data: value}, jetstream.WithStallWait(time.Minute))
	if err != nil {
		done(err)
		return
	}
	p.pending <- natsPending{future, done}
}

// Acknowledgements of one stream come in the order of its messages.
func (p *natsProducer) acknowledge() {
	for pending := range p.pending {
		select {
		case <-pending.future.Ok():
			pending.done(nil)
		case err := <-pending.future.Err():
			pending.done(err)
		}
	}
}

func (p *natsProducer) close() {
	close(p.pending)
	p.connection.Close()
}

func (t *natsTarget) consumer(o *options) (consumer, error) {
	connection, stream, err := t.connect()
	if err != nil {
		return nil, err
	}
	ordered, err := stream.OrderedConsumer(context.Background(), o.topic, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	return &natsConsumer{connection, ordered}, err
}

type natsConsumer struct {
	connection *nats.Conn
	ordered    jetstream.Consumer
}

func (c *natsConsumer) run(ctx context.Context, each func([]byte) bool) error {
	messages, err := c.ordered.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		message, err := messages.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !each(message.Data()) {
			return nil
		}
	}
}

func (c *natsConsumer) close() { c.connection.Close() }

func (t *natsTarget) first(ctx context.Context, o *options) error {
	return untilAccepted(ctx, func() error {
		connection, stream, err := t.connect()
		if err != nil {
			return err
		}
		defer connection.Close()
		if _, err = stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: o.topic, Subjects: []string{o.topic}}); err != nil {
			return err
		}
		_, err = stream.Publish(ctx, o.topic, make([]byte, o.size))
		return err
	})
}
