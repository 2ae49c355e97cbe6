"""confluent-kafka's registry client and serializers (Python). Prints one line per case: pass, or fail and why."""

import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, message_factory, timestamp_pb2

url = sys.argv[1]
client = SchemaRegistryClient({'url': url})
PERSON = {'type': 'record', 'name': 'Person', 'namespace': 'py', 'fields': [{'name': 'name', 'type': 'string'}, {'name': 'born', 'type': {'type': 'int', 'logicalType': 'date'}, 'default': 0}]}


def context(topic):
    return SerializationContext(topic, MessageField.VALUE)


def refused(code, work):
    try:
        work()
    except SchemaRegistryError as error:
        assert error.error_code == code, (error.error_code, error.error_message)
        return error
    raise AssertionError('not refused')


def the_client_registers_and_asks():
    schema = Schema(json.dumps(PERSON), 'AVRO')
    id = client.register_schema('py-all', schema)
    assert client.register_schema('py-again', schema) == id
    assert json.loads(client.get_schema(id).schema_str)['name'] == 'Person'
    registered = client.lookup_schema('py-all', schema)
    assert (registered.schema_id, registered.version, registered.subject) == (id, 1, 'py-all')
    assert client.get_latest_version('py-all').version == 1
    assert client.get_version('py-all', 1).schema_id == id
    assert client.get_versions('py-all') == [1]
    assert {'py-all', 'py-again'} <= set(client.get_subjects())
    assert client.get_compatibility() == 'BACKWARD'
    assert client.set_compatibility('py-all', 'FULL')['compatibility'] == 'FULL'
    assert client.get_compatibility('py-all') == 'FULL'
    narrower = Schema(json.dumps({**PERSON, 'fields': [{'name': 'other', 'type': 'string'}]}), 'AVRO')
    assert client.test_compatibility('py-all', narrower) is False
    error = refused(409, lambda: client.register_schema('py-all', narrower))
    assert "'other'" in error.error_message, error.error_message
    assert client.delete_version('py-all', 1) == 1
    # This one remembers what it has seen.
    refused(40401, lambda: SchemaRegistryClient({'url': url}).get_latest_version('py-all'))
    assert client.delete_subject('py-all', permanent=True) == [1]
    refused(40401, lambda: client.delete_subject('py-none'))
    refused(42201, lambda: client.register_schema('py-bad', Schema('{"type":"nope"}', 'AVRO')))
    refused(40403, lambda: client.get_schema(99999))


def avro_goes_through():
    serialize = AvroSerializer(client, json.dumps(PERSON))
    import datetime
    value = {'name': 'Ada', 'born': datetime.date(1815, 12, 10)}
    bytes = serialize(value, context('py-avro'))
    assert bytes[0] == 0
    assert AvroDeserializer(SchemaRegistryClient({'url': url}))(bytes, context('py-avro')) == value


def avro_references_are_resolved():
    inner = Schema(json.dumps({'type': 'enum', 'name': 'Color', 'namespace': 'py', 'symbols': ['RED', 'BLUE']}), 'AVRO')
    client.register_schema('py-color', inner)
    outer = Schema(
        json.dumps({'type': 'record', 'name': 'Car', 'namespace': 'py', 'fields': [{'name': 'color', 'type': 'py.Color'}]}),
        'AVRO',
        [SchemaReference('py.Color', 'py-color', 1)],
    )
    bytes = AvroSerializer(client, outer)({'color': 'BLUE'}, context('py-car'))
    assert AvroDeserializer(SchemaRegistryClient({'url': url}))(bytes, context('py-car')) == {'color': 'BLUE'}
    refused(42206, lambda: client.delete_subject('py-color'))


def json_goes_through():
    schema = {'$schema': 'http://json-schema.org/draft-07/schema#', 'title': 'P', 'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}
    serialize = JSONSerializer(json.dumps(schema), client)
    bytes = serialize({'n': 5}, context('py-json'))
    assert JSONDeserializer(json.dumps(schema), schema_registry_client=client)(bytes, context('py-json')) == {'n': 5}
    assert JSONDeserializer(None, schema_registry_client=client)(bytes, context('py-json')) == {'n': 5}
    try:
        serialize({'n': 'five'}, context('py-json'))
    except Exception:
        return
    raise AssertionError('not refused')


def protobuf_class():
    """As protoc would make it of a file with an import, a map, a oneof, an optional field and an enum."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name='interop_person.proto', package='py.proto', syntax='proto3', dependency=['google/protobuf/timestamp.proto'])
    file.message_type.add(name='Unused')
    person = file.message_type.add(name='Person')
    person.oneof_decl.add(name='contact')
    person.oneof_decl.add(name='_age')
    person.enum_type.add(name='Kind').value.add(name='NONE', number=0)
    entry = person.nested_type.add(name='ScoresEntry')
    entry.options.map_entry = True
    entry.field.add(name='key', number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(name='value', number=2, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    person.field.add(name='name', number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    person.field.add(name='email', number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL, oneof_index=0)
    person.field.add(name='age', number=3, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL, oneof_index=1, proto3_optional=True)
    person.field.add(name='scores', number=4, type=field.TYPE_MESSAGE, type_name='.py.proto.Person.ScoresEntry', label=field.LABEL_REPEATED)
    person.field.add(name='born', number=5, type=field.TYPE_MESSAGE, type_name='.google.protobuf.Timestamp', label=field.LABEL_OPTIONAL)
    person.field.add(name='kind', number=6, type=field.TYPE_ENUM, type_name='.py.proto.Person.Kind', label=field.LABEL_OPTIONAL)
    timestamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp)
    return message_factory.GetMessages([timestamp, file])['py.proto.Person']


def protobuf_goes_through():
    person = protobuf_class()
    message = person(name='Ada', email='a@b', age=36, scores={'x': 2**40}, born={'seconds': 5})
    options = {'use.deprecated.format': False}
    bytes = ProtobufSerializer(person, client, options)(message, context('py-proto'))
    assert bytes[5:7] == b'\x02\x02', bytes[:8]  # one index: 1, zigzag
    back = ProtobufDeserializer(person, options, SchemaRegistryClient({'url': url}))(bytes, context('py-proto'))
    assert back == message
    text = client.get_latest_version('py-proto-value').schema.schema_str
    assert 'optional int32 age = 3;' in text and 'map<string, int64> scores = 4;' in text, text


for case in [the_client_registers_and_asks, avro_goes_through, avro_references_are_resolved, json_goes_through, protobuf_goes_through]:
    name = case.__name__.replace('_', ' ')
    try:
        case()
        print(f'pass {name}', flush=True)
    except BaseException as error:
        print(f'fail {name} | {type(error).__name__}: {str(error)[:600]}'.replace('\n', ' '), flush=True)
