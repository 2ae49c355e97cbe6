// The same work on many logs, some of them at a time.

/** More than the thread pool has threads, for most steps of a log wait for the one before. */
const CONCURRENCY = 32

/** Runs `work` on all items, some at a time. Rejects with the first failure, when none is under way any more. */
export async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  let failure: unknown
  const run = async () => {
    while (next < items.length && failure === undefined) {
      try {
        await work(items[next++])
      } catch (error) {
        failure ??= error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, run))
  if (failure !== undefined) throw failure
}
