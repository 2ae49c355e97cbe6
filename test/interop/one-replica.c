/* Loaded in front of librdkafka (LD_PRELOAD): its tests of transactions create topics with three replicas, where one broker has room for
 * one. Nothing else in them needs more. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

typedef void *(*new_topic)(const char *, int, int, char *, size_t);

void *rd_kafka_NewTopic_new(const char *topic, int partitions, int replicas, char *error, size_t size) {
  new_topic original = (new_topic)dlsym(RTLD_NEXT, "rd_kafka_NewTopic_new");
  return original(topic, partitions, replicas > 1 ? 1 : replicas, error, size);
}
