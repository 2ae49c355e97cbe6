"""kafka-python's first hour: produce, consume, groups, codecs, headers, admin. Prints one line per case: pass, or fail and why.

Written for 2.0.2 and for 3.x: what one of them lacks is not used."""

import sys
import threading
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

bootstrap = sys.argv[1]
# Both versions run against one broker.
prefix = 'py' + kafka.__version__


def consumer(topic, **options):
    defaults = dict(bootstrap_servers=bootstrap, auto_offset_reset='earliest', consumer_timeout_ms=4000)
    return KafkaConsumer(*([topic] if topic else []), **{**defaults, **options})


def read(topic, count, **options):
    records = []
    client = consumer(topic, **options)
    for record in client:
        records.append(record)
        if len(records) == count:
            break
    client.close()
    return records


def produces_and_consumes():
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks='all')
    places = [producer.send(f'{prefix}-plain', key=b'k%d' % i, value=b'v%d' % i, headers=[('h', b'1')]).get(10) for i in range(20)]
    assert sorted(place.offset for place in places) == list(range(20)), places
    records = read(f'{prefix}-plain', 20)
    assert [(r.key, r.value, r.headers) for r in records] == [(b'k%d' % i, b'v%d' % i, [('h', b'1')]) for i in range(20)], records
    producer.close()


def keeps_null_and_empty_apart():
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(f'{prefix}-null', key=b'tombstone', value=None).get(10)
    producer.send(f'{prefix}-null', key=b'empty', value=b'').get(10)
    assert [(r.key, r.value) for r in read(f'{prefix}-null', 2)] == [(b'tombstone', None), (b'empty', b'')]
    producer.close()


def compresses_with_gzip():
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type='gzip', linger_ms=20)
    sent = [producer.send(f'{prefix}-gzip', b'x' * 500) for _ in range(200)]
    assert all(future.get(10) for future in sent)
    assert [r.value for r in read(f'{prefix}-gzip', 200)] == [b'x' * 500] * 200
    producer.close()


def a_group_commits_and_goes_on():
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(5):
        producer.send(f'{prefix}-group', b'%d' % i).get(10)
    first = consumer(f'{prefix}-group', group_id=f'{prefix}-group', enable_auto_commit=False)
    got = []
    for record in first:
        got.append(record.value)
        if len(got) == 3:
            break
    partition = TopicPartition(f'{prefix}-group', 0)
    assert first.position(partition) == 3
    first.commit()
    assert first.committed(partition) == 3
    first.close()
    rest = [r.value for r in read(f'{prefix}-group', 2, group_id=f'{prefix}-group')]
    assert (got, rest) == ([b'0', b'1', b'2'], [b'3', b'4']), (got, rest)
    producer.close()


def seeks_and_finds_offsets_by_time():
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(4):
        producer.send(f'{prefix}-seek', b'%d' % i, timestamp_ms=1_000_000 + i * 1000).get(10)
    partition = TopicPartition(f'{prefix}-seek', 0)
    client = consumer(None)
    client.assign([partition])
    assert client.beginning_offsets([partition]) == {partition: 0}
    assert client.end_offsets([partition]) == {partition: 4}
    found = client.offsets_for_times({partition: 1_001_500})[partition]
    assert (found.offset, found.timestamp) == (2, 1_002_000), found
    assert client.offsets_for_times({partition: 9_000_000})[partition] is None
    client.seek(partition, 3)
    assert next(client).value == b'3'
    client.close()
    producer.close()


def two_members_share_partitions():
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(f'{prefix}-shared', 4, 1)])
    assigned = {}
    done = threading.Event()

    def be_a_member(name):
        # A join blocks its poll until all others have joined: members need threads of their own.
        member = consumer(f'{prefix}-shared', group_id=f'{prefix}-shared', session_timeout_ms=10000, heartbeat_interval_ms=500)
        while not done.is_set():
            member.poll(200)
            assigned[name] = len(member.assignment())
        member.close()

    threads = [threading.Thread(target=be_a_member, args=(name,), daemon=True) for name in 'ab']
    for thread in threads:
        thread.start()
    until = time.time() + 30
    while time.time() < until and sorted(assigned.values()) != [2, 2]:
        time.sleep(0.1)
    shares = sorted(assigned.values())
    done.set()
    for thread in threads:
        thread.join(20)
    assert shares == [2, 2], shares
    admin.close()


def administers():
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(f'{prefix}-admin', 2, 1, topic_configs={'retention.ms': '60000'})])
    try:
        admin.create_topics([NewTopic(f'{prefix}-admin', 2, 1)])
        raise AssertionError('created twice')
    except TopicAlreadyExistsError:
        pass
    admin.create_partitions({f'{prefix}-admin': NewPartitions(3)})
    assert f'{prefix}-admin' in admin.list_topics()
    described = admin.describe_topics([f'{prefix}-admin'])[0]
    assert len(described['partitions']) == 3, described
    read(f'{prefix}-admin', 1, group_id=f'{prefix}-admin-group', consumer_timeout_ms=1500)
    list_groups = getattr(admin, 'list_consumer_groups', None) or admin.list_groups
    assert any(f'{prefix}-admin-group' in str(group) for group in list_groups())
    admin.delete_topics([f'{prefix}-admin'])
    until = time.time() + 10
    while f'{prefix}-admin' in admin.list_topics():
        assert time.time() < until, 'still listed'
    admin.close()


failed = 0
for case in [produces_and_consumes, keeps_null_and_empty_apart, compresses_with_gzip, a_group_commits_and_goes_on,
             seeks_and_finds_offsets_by_time, two_members_share_partitions, administers]:
    name = f'kafka-python {kafka.__version__} {case.__name__}'
    try:
        case()
        print('pass', name, flush=True)
    except Exception as error:  # a case that fails does not end the run
        print('fail', name, '|', type(error).__name__, str(error).replace('\n', ' '), flush=True)
