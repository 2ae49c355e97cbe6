// What the test run prints: each file that passed in a line, each failure in full, the count at the end.
import { relative } from 'node:path'

export default async function* report(events) {
  const perFile = new Map()
  for await (const { type, data } of events) {
    if (type === 'test:pass' || type === 'test:fail') {
      // Only leaves count: a suite, and a file as a whole, fail with their tests.
      if (data.details.type === 'suite' || data.name === data.file) continue
      const counts = perFile.get(data.file) ?? { pass: 0, fail: 0, ms: 0 }
      counts[type === 'test:pass' ? 'pass' : 'fail']++
      counts.ms += data.nesting === 0 ? data.details.duration_ms : 0
      perFile.set(data.file, counts)
      if (type === 'test:fail') yield failure(data)
    }
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message
    if (type === 'test:summary' && data.file !== undefined) {
      const counts = perFile.get(data.file) ?? { pass: 0, fail: 0, ms: 0 }
      yield `${data.success ? 'ok  ' : 'FAIL'} ${relative(process.cwd(), data.file)} · ${counts.pass} tests · ${Math.round(data.duration_ms)} ms\n`
    }
    if (type === 'test:summary' && data.file === undefined) {
      const { passed, failed, cancelled, skipped, todo } = data.counts
      yield `\n${passed} passed, ${failed + cancelled} failed, ${skipped + todo} skipped\n`
    }
  }
}

function failure(data) {
  const error = data.details.error
  const cause = error.cause ?? error
  return `FAIL ${data.file === undefined ? '' : relative(process.cwd(), data.file)}:${data.line} ${data.name}\n  ${String(cause?.stack ?? cause?.message ?? cause).replaceAll('\n', '\n  ')}\n`
}
