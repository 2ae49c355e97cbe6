// Kafka Streams with exactly_once_v2 for test/interop/entries/streams.ts. Counts words, which takes them through a repartition topic, and
// keeps the balances of accounts, which depend on the order of payments. Without a cache every input is one output: what is counted
// twice, or not at all, shows in the sequence of them.
// Usage: java ExactTotals BOOTSTRAP_SERVERS STATE_DIRECTORY. Ends with SIGTERM; with 1 if a thread dies of what Streams cannot mend.

import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Materialized;

public final class ExactTotals {
    public static void main(String[] args) throws InterruptedException {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream("lines")
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word)
            .count(Materialized.with(Serdes.String(), Serdes.Long()))
            .toStream()
            .mapValues(count -> Long.toString(count))
            .to("counts");
        builder.<String, String>stream("payments")
            .groupByKey()
            .aggregate(() -> "0 0", ExactTotals::balanceAfter)
            .toStream()
            .to("balances");

        KafkaStreams streams = new KafkaStreams(builder.build(), config(args[0], args[1]));
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        ended.await();
        Runtime.getRuntime().halt(1);
    }

    /** "PAYMENTS DIGEST": the digest tells the order of the amounts as well as their values. */
    private static String balanceAfter(String account, String amount, String balance) {
        String[] parts = balance.split(" ");
        long digest = (Long.parseLong(parts[1]) * 31 + Long.parseLong(amount)) % 1_000_000_007L;
        return (Long.parseLong(parts[0]) + 1) + " " + digest;
    }

    private static Properties config(String bootstrapServers, String stateDirectory) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, "exact-totals");
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers);
        config.put(StreamsConfig.STATE_DIR_CONFIG, stateDirectory);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        // What has been counted is deleted from the repartition topic, right behind the committed position.
        config.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 1_000);
        config.put("auto.offset.reset", "earliest");
        // Those that are killed are missed soon.
        config.put("session.timeout.ms", 3_000);
        config.put("heartbeat.interval.ms", 500);
        return config;
    }
}
