// confluent-kafka: Python over librdkafka.

import { pythonSuite } from '../python-suite.ts'

export const suite = pythonSuite('confluent_kafka_cases.py', ['confluent-kafka==2.16.1'])
