import { ErrorCode } from '../../protocol/error-codes.ts'
import { DescribeLogDirs } from '../../protocol/messages/35-describe-log-dirs.ts'
import { handler } from './handler.ts'

/** Says how much lies in each log directory, and how much room is left there. */
export const describeLogDirs = handler(DescribeLogDirs, {
  async handle(request, services) {
    const wanted =
      request.topics === null
        ? null
        : new Set(request.topics.flatMap(({ topic, partitions }) => partitions.map((p) => `${topic}/${p}`)))
    const results = []
    for (const { path: directory, isOnline } of services.logDirectories()) {
      if (!isOnline) {
        results.push({ errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logDir: directory, topics: [] })
        continue
      }
      const byTopic = new Map<
        string,
        { partitionIndex: number; partitionSize: bigint; offsetLag: bigint; isFutureKey: boolean }[]
      >()
      for (const partition of services.replicas.partitions()) {
        if (partition.log.directory !== directory) continue
        if (wanted !== null && !wanted.has(`${partition.topic}/${partition.index}`)) continue
        const entry = {
          partitionIndex: partition.index,
          partitionSize: BigInt(partition.log.sizeBytes),
          offsetLag: 0n,
          isFutureKey: false,
        }
        const entries = byTopic.get(partition.topic)
        if (entries === undefined) byTopic.set(partition.topic, [entry])
        else entries.push(entry)
      }
      results.push({
        errorCode: ErrorCode.NONE,
        logDir: directory,
        topics: [...byTopic].map(([name, partitions]) => ({ name, partitions })),
        // Unknown, where a disk has failed that nobody has noticed yet.
        ...(await services.space(directory).catch(() => ({}))),
      })
    }
    return { errorCode: ErrorCode.NONE, results }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, results: [] }),
})
