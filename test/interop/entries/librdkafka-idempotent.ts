// librdkafka's own tests, with producers idempotent.

import { librdkafkaSuite } from '../librdkafka-tests.ts'

export const suite = librdkafkaSuite('default', { 'auto.create.topics.enable': 'true' }, ['-P'])
