// confluent-kafka's registry client with its Avro, JSON Schema and Protobuf serializers (Python).

import { pythonSuite } from '../python-suite.ts'
import { startRegistry } from '../registry-process.ts'

export const suite = pythonSuite(
  'schema_registry_cases.py',
  ['confluent-kafka[schemaregistry,avro,json,protobuf]==2.13.2'],
  async (target) => {
    const registry = await startRegistry(target, 'schemas-python')
    return { address: registry.url, [Symbol.asyncDispose]: () => registry.stop() }
  },
)
