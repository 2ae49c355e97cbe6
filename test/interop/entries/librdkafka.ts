// librdkafka's own tests.

import { librdkafkaSuite } from '../librdkafka-tests.ts'

export const suite = librdkafkaSuite('default', { 'auto.create.topics.enable': 'true' })
