"""confluent-kafka's first hour (Python over librdkafka). Prints one line per case: pass, or fail and why."""

import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

bootstrap = sys.argv[1]
base = {'bootstrap.servers': bootstrap, 'broker.address.family': 'v4'}


def produce(topic, records, **options):
    errors = []
    producer = Producer({**base, **options})
    for key, value in records:
        producer.produce(topic, value=value, key=key, headers=[('h', b'1')], on_delivery=lambda error, _: error and errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [], errors


def read(topics, count, group, **options):
    consumer = Consumer({**base, 'group.id': group, 'auto.offset.reset': 'earliest', **options})
    consumer.subscribe(topics)
    records = []
    until = time.time() + 20
    while len(records) < count and time.time() < until:
        record = consumer.poll(0.5)
        if record is not None:
            assert record.error() is None, record.error()
            records.append(record)
    consumer.commit(asynchronous=False)
    consumer.close()
    return records


def produces_and_consumes_with_every_codec():
    for codec in ['none', 'gzip', 'snappy', 'lz4', 'zstd']:
        records = [(b'k%d' % i, b'v%d' % i * 50) for i in range(200)]
        produce(f'ck-{codec}', records, **{'compression.type': codec, 'linger.ms': 50, 'enable.idempotence': True})
        got = read([f'ck-{codec}'], 200, f'ck-{codec}')
        assert [(r.key(), r.value(), r.headers()) for r in got] == [(k, v, [('h', b'1')]) for k, v in records]


def keeps_null_and_empty_apart():
    produce('ck-null', [(b'tombstone', None), (b'empty', b'')])
    assert [r.value() for r in read(['ck-null'], 2, 'ck-null')] == [None, b'']


def groups_of_every_strategy_share_partitions():
    admin = AdminClient(base)
    admin.create_topics([NewTopic('ck-shared', 4, 1)])['ck-shared'].result(10)
    for strategy in ['range', 'roundrobin', 'cooperative-sticky']:
        options = {**base, 'group.id': f'ck-{strategy}', 'partition.assignment.strategy': strategy, 'heartbeat.interval.ms': 300}
        members = [Consumer(options) for _ in range(2)]
        for member in members:
            member.subscribe(['ck-shared'])
        until = time.time() + 30
        while time.time() < until and sorted(len(m.assignment()) for m in members) != [2, 2]:
            for member in members:
                member.poll(0.1)
        assert sorted(len(m.assignment()) for m in members) == [2, 2], strategy
        for member in members:
            member.close()


def administers_topics_and_configurations():
    admin = AdminClient(base)
    admin.create_topics([NewTopic('ck-admin', 2, 1, config={'retention.ms': '60000'})])['ck-admin'].result(10)
    admin.create_partitions([NewPartitions('ck-admin', 3)])['ck-admin'].result(10)
    resource = ConfigResource(ResourceType.TOPIC, 'ck-admin')
    assert admin.describe_configs([resource])[resource].result(10)['retention.ms'].value == '60000'
    described = admin.describe_topics(confluent_kafka.TopicCollection(['ck-admin']))['ck-admin'].result(10)
    assert len(described.partitions) == 3
    cluster = admin.describe_cluster().result(10)
    assert len(cluster.nodes) == 1 and cluster.cluster_id
    produce('ck-admin', [(None, b'%d' % i) for i in range(6)], **{'partitioner': 'consistent'})
    partition = TopicPartition('ck-admin', 0)
    latest = sum(admin.list_offsets({TopicPartition('ck-admin', p): OffsetSpec.latest()})[TopicPartition('ck-admin', p)].result(10).offset for p in range(3))
    assert latest == 6, latest
    assert admin.list_offsets({partition: OffsetSpec.earliest()})[partition].result(10).offset == 0
    admin.delete_topics(['ck-admin'])['ck-admin'].result(10)


def administers_groups():
    produce('ck-groups', [(None, b'%d' % i) for i in range(5)])
    read(['ck-groups'], 5, 'ck-groups')
    admin = AdminClient(base)
    listed = admin.list_consumer_groups().result(10).valid
    assert 'ck-groups' in [group.group_id for group in listed]
    assert admin.describe_consumer_groups(['ck-groups'])['ck-groups'].result(10).state.name == 'EMPTY'

    def committed():
        answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions('ck-groups')])['ck-groups'].result(10)
        return [p.offset for p in answer.topic_partitions]

    assert committed() == [5], committed()
    moved = ConsumerGroupTopicPartitions('ck-groups', [TopicPartition('ck-groups', 0, 2)])
    admin.alter_consumer_group_offsets([moved])['ck-groups'].result(10)
    assert committed() == [2], committed()
    assert [r.value() for r in read(['ck-groups'], 3, 'ck-groups')] == [b'2', b'3', b'4']
    admin.delete_consumer_groups(['ck-groups'])['ck-groups'].result(10)
    try:
        admin.delete_consumer_groups(['ck-groups'])['ck-groups'].result(10)
        raise AssertionError('deleted twice')
    except KafkaException as error:
        assert error.args[0].name() == 'GROUP_ID_NOT_FOUND', error


def deletes_records():
    produce('ck-trim', [(None, b'%d' % i) for i in range(5)])
    admin = AdminClient(base)
    partition = TopicPartition('ck-trim', 0, 3)
    assert admin.delete_records([partition])[partition].result(10).low_watermark == 3
    assert [r.offset() for r in read(['ck-trim'], 2, 'ck-trim')] == [3, 4]


for case in [produces_and_consumes_with_every_codec, keeps_null_and_empty_apart, groups_of_every_strategy_share_partitions,
             administers_topics_and_configurations, administers_groups, deletes_records]:
    try:
        case()
        print('pass', case.__name__, flush=True)
    except Exception as error:  # a case that fails does not end the run
        print('fail', case.__name__, '|', type(error).__name__, str(error).replace('\n', ' '), flush=True)
