// Those of librdkafka's own tests that want topics to be created by hand.

import { librdkafkaSuite } from '../librdkafka-tests.ts'

export const suite = librdkafkaSuite('noautocreate', { 'auto.create.topics.enable': 'false' })
