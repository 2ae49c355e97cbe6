// Commits of offsets are stored for the partitions that exist, and answered for all that were asked for.

import type { CommitResponse } from '../../coordinators/group/commit-offsets.ts'

/** The error code of each partition: what came of storing it, or `unknown` if it was not tried. */
export function commitResults(stored: CommitResponse | undefined, unknown: number): (topic: string, partition: number) => number {
  const codes = new Map<string, number>()
  for (const { name, partitions } of stored?.topics ?? []) {
    for (const { partitionIndex, errorCode } of partitions) codes.set(`${name}/${partitionIndex}`, errorCode)
  }
  return (topic, partition) => codes.get(`${topic}/${partition}`) ?? unknown
}
