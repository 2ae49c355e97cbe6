package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka refuses requests that make some 10,000 records of metadata.
const partitionsAtOnce = 5000

// Kafka's protocol, by franz-go.
type kafkaTarget struct{ address string }

func (t *kafkaTarget) options() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(t.address), kgo.DialTimeout(30 * time.Second)}
}

func (t *kafkaTarget) create(ctx context.Context, topic string, partitions int) error {
	client, err := kgo.NewClient(t.options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(120_000)
	result, err := admin.CreateTopic(ctx, int32(min(partitions, partitionsAtOnce)), 1, nil, topic)
	if err == nil {
		err = result.Err
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	for made := partitionsAtOnce; made < partitions; made += partitionsAtOnce {
		answers, err := admin.UpdatePartitions(ctx, min(partitions, made+partitionsAtOnce), topic)
		if err == nil {
			err = answers.Error()
		}
		if err != nil {
			return err
		}
	}
	// Kafka answers before its brokers know the topic.
	for {
		topics, err := admin.ListTopics(ctx, topic)
		if err == nil && len(topics[topic].Partitions) == partitions && leaderless(topics[topic]) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func leaderless(topic kadm.TopicDetail) (count int) {
	for _, partition := range topic.Partitions {
		if partition.Err != nil || partition.Leader < 0 {
			count++
		}
	}
	return count
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (t *kafkaTarget) producerOptions(o *options) ([]kgo.Opt, error) {
	codec, known := codecs[o.codec]
	if !known {
		return nil, fmt.Errorf("no codec %q", o.codec)
	}
	opts := append(t.options(),
		kgo.DefaultProduceTopic(o.topic),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(o.linger),
		kgo.MaxBufferedRecords(o.window),
		kgo.ProducerBatchMaxBytes(int32(o.batch)),
	)
	switch o.acks {
	case "all":
		// Idempotent, as the defaults of Kafka's own client are.
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	default:
		return nil, fmt.Errorf("no acks %q", o.acks)
	}
	if o.spread == "each" {
		return append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner())), nil
	}
	return append(opts, kgo.RecordPartitioner(kgo.UniformBytesPartitioner(64<<10, false, false, nil))), nil
}

func (t *kafkaTarget) producer(o *options) (producer, error) {
	opts, err := t.producerOptions(o)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	return &kafkaProducer{client}, err
}

type kafkaProducer struct{ client *kgo.Client }

func (p *kafkaProducer) send(partition int32, value []byte, done func(error)) {
	p.client.Produce(context.Background(), &kgo.Record{Partition: partition, Value: value}, func(_ *kgo.Record, err error) { done(err) })
}

func (p *kafkaProducer) close() { p.client.Close() }

func (t *kafkaTarget) consumer(o *options) (consumer, error) {
	offsets := make(map[int32]kgo.Offset, o.partitions)
	for partition := range int32(o.partitions) {
		offsets[partition] = kgo.NewOffset().At(0)
	}
	client, err := kgo.NewClient(append(t.options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: offsets}),
		kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	return &kafkaConsumer{client}, err
}

type kafkaConsumer struct{ client *kgo.Client }

func (c *kafkaConsumer) run(ctx context.Context, each func([]byte) bool) error {
	for {
		fetches := c.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		for records := fetches.RecordIter(); !records.Done(); {
			if !each(records.Next().Value) {
				return nil
			}
		}
	}
}

func (c *kafkaConsumer) close() { c.client.Close() }

func (t *kafkaTarget) first(ctx context.Context, o *options) error {
	opts, err := t.producerOptions(o)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.AllowAutoTopicCreation(),
		kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 2 * time.Millisecond }),
		kgo.UnknownTopicRetries(-1),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, &kgo.Record{Value: make([]byte, o.size)}).FirstErr()
}
