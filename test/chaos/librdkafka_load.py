# librdkafka under load, through its Python client: an idempotent producer, a transactional one, and readers of committed and of all
# data. Writes one line of JSON as each operation begins and one as it ends, for test/chaos/librdkafka-load.ts; ends when its input does.

import json, random, sys, threading, time
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

servers, topic, partitions, transactional_id = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
common = {'bootstrap.servers': servers, 'broker.address.family': 'v4', 'socket.timeout.ms': 5000, 'reconnect.backoff.max.ms': 1000}
writing, running = threading.Event(), threading.Event()
lock = threading.Lock()
count = 0


def tell(**line):
    print(json.dumps(line), flush=True)


def begin(process, f):
    global count
    with lock:
        count += 1
        tell(id=count, process=process, f=f, start=time.monotonic_ns())
        return count


def end(id, **result):
    with lock:
        tell(id=id, end=time.monotonic_ns(), **result)


def key(partition):
    return f'{topic}/{partition}'


def send():
    producer = Producer({**common, 'enable.idempotence': True, 'linger.ms': 5, 'delivery.timeout.ms': 60000})
    i = 0
    while not writing.is_set():
        partition, value = random.randrange(partitions), f'ls-{i}'
        id = begin('ls', 'send')

        def delivered(error, message, id=id, partition=partition, value=value):
            offset = None if error else message.offset()
            end(id, type='info' if error else 'ok', sends=[{'key': key(partition), 'value': value, 'offset': offset}])

        try:
            producer.produce(topic, value, partition=partition, on_delivery=delivered)
        except BufferError:
            end(id, type='fail', sends=[{'key': key(partition), 'value': value, 'offset': None}])
        producer.poll(0.02)
        i += 1
    producer.flush(70)


def transact():
    producer, i = None, 0
    while not writing.is_set():
        id, sends, type = begin('lt', 'txn'), [], 'info'
        try:
            if producer is None:
                producer = Producer({**common, 'transactional.id': transactional_id, 'transaction.timeout.ms': 10000, 'linger.ms': 0})
                producer.init_transactions(30)
            producer.begin_transaction()
            for n in range(random.randint(1, 4)):
                partition = random.randrange(partitions)
                sent = {'key': key(partition), 'value': f'lt-{i}-{n}', 'offset': None}
                sends.append(sent)
                producer.produce(topic, sent['value'], partition=partition, on_delivery=lambda e, m, sent=sent: sent.update(offset=None if e else m.offset()))
            if random.randrange(5) == 0:
                producer.abort_transaction(30)
                type = 'fail'
            else:
                commit(producer)
                type = 'ok'
        except KafkaException as error:
            try:
                if producer is not None and error.args[0].txn_requires_abort():
                    producer.abort_transaction(30)
                    type = 'fail'
                else:
                    producer = None
            except KafkaException:
                producer = None
        end(id, type=type, sends=sends)
        i += 1
        time.sleep(0.02)


# A retriable error tells nothing of the outcome: asking again does.
def commit(producer):
    for attempt in range(3):
        try:
            return producer.commit_transaction(20)
        except KafkaException as error:
            if not error.args[0].retriable() or attempt == 2:
                raise


def read(process, isolation):
    consumer = Consumer({**common, 'group.id': 'unused', 'isolation.level': isolation, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    while not running.is_set():
        id = begin(process, 'poll')
        messages = [message for message in consumer.consume(100, 0.2) if message.error() is None]
        reads = [{'key': key(m.partition()), 'offset': m.offset(), 'value': m.value().decode()} for m in messages]
        end(id, type='ok', isolation=isolation, reads=reads)
    consumer.close()


writers = [threading.Thread(target=send), threading.Thread(target=transact)]
readers = [threading.Thread(target=read, args=(name, isolation)) for name, isolation in (('lrc', 'read_committed'), ('lru', 'read_uncommitted'))]
for thread in writers + readers:
    thread.start()
# The first line ends the writers, the end of the input the rest.
sys.stdin.readline()
writing.set()
for thread in writers:
    thread.join()
running.set()
for thread in readers:
    thread.join()
