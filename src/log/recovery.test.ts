// How logs come up again: after a clean shutdown, after `kill -9`, and after somebody has damaged the files.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { KafkaError } from '../protocol/error-codes.ts'
import { baseOffset } from '../protocol/records/batch-header.ts'
import { encodeCheckpoint } from './checkpoint-file.ts'
import type { LogConfig } from './log-config.ts'
import { batchOf, FROM_CLIENT, LogFixture, readAll, settled, TOPIC_ID } from './log-fixture.ts'

const FIRST = '00000000000000000000'

/** A log of `count` batches of two records, all on the disk. */
async function filled(count: number, config: Partial<LogConfig> = {}): Promise<LogFixture> {
  const fixture = await new LogFixture(config).open()
  const log = await fixture.log()
  for (let i = 0; i < count; i++) log.append(batchOf(2, { fill: i }), { ...FROM_CLIENT, leaderEpoch: Math.floor(i / 4) })
  await log.flush()
  return fixture
}

const batchSize = batchOf(2).length

async function spoil({ disk }: LogFixture, name: string, change: (contents: Buffer) => Buffer): Promise<void> {
  await disk.replaceFile(`/data/${name}`, change(await disk.readFile(`/data/${name}`)))
}

describe('a clean shutdown', () => {
  test('leaves a marker, and the next start reads no more than the end of each log', async () => {
    const fixture = await filled(200, { indexIntervalBytes: 400 })
    await fixture.manager.close()
    assert.ok(await fixture.disk.exists('/data/.kafka_cleanshutdown'))
    let bytesRead = 0
    fixture.onDiskCall = (operation, path) => {
      if (operation === 'read' && path.endsWith('.log')) bytesRead++
    }
    await fixture.open()
    assert.ok(bytesRead <= 2, `${bytesRead} reads`)
    const log = await fixture.log()
    assert.equal(log.endOffset, 400n)
    assert.equal(log.topicId, TOPIC_ID)
    assert.equal((await readAll(log)).length, 200)
    assert.deepEqual(log.endOffsetForEpoch(3), { leaderEpoch: 3, endOffset: 32n })
    assert.deepEqual(fixture.events, [])
  })

  test('is believed once: the marker is gone before anything is loaded', async () => {
    const fixture = await filled(3)
    await fixture.manager.close()
    await fixture.open()
    assert.equal(await fixture.disk.exists('/data/.kafka_cleanshutdown'), false)
    await fixture.crash()
    assert.equal((await fixture.log()).endOffset, 6n)
  })

  test('is written down in one file: the next start looks into no log', async () => {
    const fixture = await filled(200, { indexIntervalBytes: 400, segmentBytes: 50 * batchSize })
    const before = await fixture.log()
    before.append(batchOf(1, { producerId: 3n, producerEpoch: 0, baseSequence: 0 }), FROM_CLIENT)
    await before.advanceLogStartOffset(7n)
    await fixture.manager.close()
    const calls = new Set<string>()
    fixture.onDiskCall = (operation, path) => {
      if (path.includes('/t-0')) calls.add(operation)
    }
    await fixture.open()
    // Somebody may have changed the files since.
    assert.deepEqual([...calls], ['fileSize'])
    fixture.onDiskCall = () => {}
    const log = await fixture.log()
    assert.deepEqual([log.logStartOffset, log.endOffset, log.segments.length], [7n, 401n, before.segments.length])
    assert.deepEqual(log.endOffsetForEpoch(3), { leaderEpoch: 3, endOffset: 32n })
    const again = batchOf(1, { producerId: 3n, producerEpoch: 0, baseSequence: 0 })
    assert.equal(log.append(again, FROM_CLIENT).duplicate, true)
    for (let i = 0; i < 100; i++) log.append(batchOf(2), { ...FROM_CLIENT, leaderEpoch: 60 })
    await log.flush()
    assert.equal((await readAll(log)).length, 298)
    assert.deepEqual(fixture.events, [])
  })

  const spoilt: [string, (fixture: LogFixture) => Promise<void>][] = [
    ['is damaged', (fixture) => spoil(fixture, 'clean-shutdown-manifest', (contents) => contents.fill(9, 40, 41))],
    ['is cut', (fixture) => spoil(fixture, 'clean-shutdown-manifest', (contents) => contents.subarray(0, 4))],
    ['is gone', (fixture) => fixture.disk.remove('/data/clean-shutdown-manifest')],
    ['is older than the marker, which Kafka wrote', (fixture) => spoil(fixture, '.kafka_cleanshutdown', () => Buffer.from('{}'))],
  ]
  for (const [what, change] of spoilt) {
    test(`whose manifest ${what} is believed log by log`, async () => {
      const fixture = await filled(20)
      await fixture.manager.close()
      await change(fixture)
      let listed = false
      fixture.onDiskCall = (operation, path) => {
        if (operation === 'list' && path === '/data/t-0') listed = true
      }
      await fixture.open()
      assert.ok(listed)
      assert.equal((await readAll(await fixture.log())).length, 20)
    })
  }

  test('whose marker speaks for a log that was changed afterwards does not hide the change', async () => {
    const fixture = await filled(10)
    await fixture.manager.close()
    await fixture.damage(`${FIRST}.log`, (contents) => contents.subarray(0, 5 * batchSize))
    await fixture.open()
    const log = await fixture.log()
    assert.equal(log.endOffset, 10n)
    assert.deepEqual(
      fixture.events.map(({ event }) => event),
      ['log-shorter-than-synced'],
    )
  })
})

describe('after kill -9', () => {
  test('all that was written is there, synced or not', async () => {
    const fixture = await new LogFixture({ flushPolicy: 'os' }).open()
    let log = await fixture.log()
    for (let i = 0; i < 50; i++) log.append(batchOf(2), FROM_CLIENT)
    await settled()
    assert.deepEqual([log.writtenOffset, log.flushedOffset], [100n, 0n])
    log = await fixture.crash()
    assert.deepEqual([log.endOffset, log.flushedOffset], [100n, 100n])
    assert.deepEqual(fixture.events, [])
  })

  const tears: [string, (contents: Buffer) => Buffer, string][] = [
    ['torn in its header', (contents) => contents.subarray(0, 7 * batchSize + 20), '20 bytes are no batch'],
    [
      'torn in its records',
      (contents) => contents.subarray(0, 8 * batchSize - 1),
      `a batch of ${batchSize} bytes, ${batchSize - 1} left`,
    ],
    ['of which nothing but zeros arrived', (contents) => contents.fill(0, 7 * batchSize), 'zeros'],
    [
      'with a flipped bit',
      (contents) => contents.fill(contents[7 * batchSize + 90] ^ 4, 7 * batchSize + 90, 7 * batchSize + 91),
      'the checksum does not match',
    ],
  ]
  for (const [what, tear, reason] of tears) {
    test(`a last batch ${what} is cut off, and the event says where and why`, async () => {
      const fixture = await filled(8, { flushPolicy: 'os' })
      fixture.disk = fixture.disk.kill()
      await fixture.disk.remove('/data/recovery-point-offset-checkpoint')
      await fixture.damage(`${FIRST}.log`, tear)
      const size = await fixture.disk.fileSize(fixture.path(`${FIRST}.log`))
      await fixture.open()
      const log = await fixture.log()
      assert.equal(log.endOffset, 14n)
      assert.equal((await readAll(log)).length, 7)
      assert.deepEqual(fixture.events, [
        {
          event: 'log-cut',
          topic: 't',
          partition: 0,
          file: fixture.path(`${FIRST}.log`),
          position: 7 * batchSize,
          endOffset: 14n,
          reason,
          bytesRemoved: size - 7 * batchSize,
          segmentsRemoved: 0,
        },
      ])
      assert.equal(log.append(batchOf(1), FROM_CLIENT).firstOffset, 14n)
      await log.flush()
      await fixture.crash()
      assert.equal((await readAll(await fixture.log())).length, 8)
    })
  }

  test('segments behind the cut go with it, and so do their leader epochs', async () => {
    const fixture = await filled(20, { segmentBytes: 4 * batchSize })
    fixture.disk = fixture.disk.kill()
    await fixture.disk.remove('/data/recovery-point-offset-checkpoint')
    await fixture.damage('00000000000000000016.log', (contents) => contents.subarray(0, 100))
    await fixture.open()
    const log = await fixture.log()
    assert.equal(log.endOffset, 16n)
    assert.equal(log.latestLeaderEpoch, 1)
    assert.deepEqual(await fixture.files('.log'), [`${FIRST}.log`, '00000000000000000008.log', '00000000000000000016.log'])
    assert.deepEqual(
      fixture.events.map((event) => event.event === 'log-cut' && event.segmentsRemoved),
      [2],
    )
  })

  test('only what lies behind the recovery point is scanned', async () => {
    const fixture = await filled(20, { segmentBytes: 4 * batchSize })
    await fixture.manager.checkpoint()
    fixture.disk = fixture.disk.kill()
    const read = new Set<string>()
    fixture.onDiskCall = (operation, path) => {
      if (operation === 'read' && path.endsWith('.log')) read.add(path)
    }
    await fixture.open()
    assert.deepEqual([...read], [fixture.path('00000000000000000032.log')])
  })

  test('damage to what had been synced is not cut off: where no batch can be told, the log is not served', async () => {
    const fixture = await filled(8)
    await fixture.manager.checkpoint()
    fixture.disk = fixture.disk.kill()
    await fixture.damage(`${FIRST}.log`, (contents) => contents.fill(0, 3 * batchSize, 3 * batchSize + 90))
    const before = await fixture.disk.readFile(fixture.path(`${FIRST}.log`))
    await fixture.open()
    const log = await fixture.log()
    const event = fixture.events[0]
    assert.ok(event.event === 'log-failed' && event.position === 3 * batchSize && event.file === fixture.path(`${FIRST}.log`))
    const refused = (error: unknown) => error instanceof KafkaError && error.code === 'KAFKA_STORAGE_ERROR'
    assert.throws(() => log.append(batchOf(1), FROM_CLIENT), refused)
    assert.throws(() => log.read(0n, { maxBytes: 100, limitOffset: 1n, atLeastOneBatch: true }), refused)
    assert.ok(before.equals(await fixture.disk.readFile(fixture.path(`${FIRST}.log`))))
    await fixture.manager.close()
  })

  test('a flipped bit in front of the recovery point is left to be found by the read', async () => {
    const fixture = await filled(8)
    await fixture.manager.checkpoint()
    fixture.disk = fixture.disk.kill()
    await fixture.damage(`${FIRST}.log`, (contents) =>
      contents.fill(contents[3 * batchSize + 90] ^ 1, 3 * batchSize + 90, 3 * batchSize + 91),
    )
    await fixture.open()
    assert.deepEqual(fixture.events, [])
    const log = await fixture.log()
    const read = async (from: bigint) => log.read(from, { maxBytes: 10, limitOffset: 16n, atLeastOneBatch: true })
    await assert.rejects(read(6n), (error) => error instanceof KafkaError && error.code === 'CORRUPT_MESSAGE')
    assert.equal((await read(8n)).size, batchSize)
  })

  describe('with marks in the segment', () => {
    const markedAt = async (fixture: LogFixture, batches: number) => {
      const log = await fixture.log()
      for (let i = 0; i < batches; i++) {
        const baseSequence = Number(log.endOffset)
        log.append(batchOf(2, { producerId: 9n, producerEpoch: 0, baseSequence }), FROM_CLIENT)
      }
      await log.flush()
      await fixture.manager.checkpoint()
    }
    const opened = async () => {
      const fixture = new LogFixture({ indexIntervalBytes: batchSize })
      fixture.limits = { recoveryMarkBytes: 4 * batchSize }
      return fixture.open()
    }
    /** From where on the log's file is read at the next start. */
    const firstRead = async (fixture: LogFixture) => {
      const whole = await fixture.disk.readFile(fixture.path(`${FIRST}.log`))
      // What stands between its first header and the place that recovery goes on from is not even looked at.
      await fixture.damage(`${FIRST}.log`, (contents) => contents.fill(0, batchSize, 8 * batchSize))
      await fixture.open()
      const log = await fixture.log()
      assert.deepEqual([log.failed, log.endOffset], [undefined, 30n])
      await fixture.damage(`${FIRST}.log`, () => whole)
      return log
    }

    test('what is in front of the mark is not read', async () => {
      const fixture = await opened()
      await markedAt(fixture, 5)
      await markedAt(fixture, 5)
      await markedAt(fixture, 3)
      assert.deepEqual(await fixture.files('.snapshot'), ['00000000000000000020.snapshot'])
      const log = await fixture.log()
      for (let i = 26; i < 30; i += 2) {
        log.append(batchOf(2, { producerId: 9n, producerEpoch: 0, baseSequence: i }), FROM_CLIENT)
      }
      await log.flush()
      fixture.disk = fixture.disk.kill()
      const recovered = await firstRead(fixture)
      assert.equal((await readAll(recovered)).length, 15)
      const again = batchOf(2, { producerId: 9n, producerEpoch: 0, baseSequence: 22 })
      assert.equal(recovered.append(again, FROM_CLIENT).duplicate, true)
      assert.deepEqual(fixture.events, [])
    })

    test('index entries behind the mark are made anew, whatever the files hold', async () => {
      const fixture = await opened()
      await markedAt(fixture, 10)
      await markedAt(fixture, 3)
      const log = await fixture.log()
      for (let i = 26; i < 30; i += 2) log.append(batchOf(2), FROM_CLIENT)
      await log.flush()
      fixture.disk = fixture.disk.kill()
      for (const suffix of ['.index', '.timeindex']) {
        const size = suffix === '.index' ? 8 : 12
        await fixture.damage(`${FIRST}${suffix}`, (contents) => Buffer.concat([contents, Buffer.alloc(5 * size, 0)]))
      }
      assert.equal((await readAll(await firstRead(fixture))).length, 15)
    })

    test('a damaged mark costs no more than reading the headers', async () => {
      const fixture = await opened()
      await markedAt(fixture, 10)
      fixture.disk = fixture.disk.kill()
      await fixture.damage('00000000000000000020.snapshot', (contents) => contents.fill(9, 3, 4))
      await fixture.open()
      const log = await fixture.log()
      assert.equal((await readAll(log)).length, 10)
      const again = batchOf(2, { producerId: 9n, producerEpoch: 0, baseSequence: 18 })
      assert.equal(log.append(again, FROM_CLIENT).duplicate, true)
    })
  })

  test('a flipped bit that no recovery looks at is found by the read, reported, and served to nobody', async () => {
    const fixture = await filled(20, { segmentBytes: 4 * batchSize })
    await fixture.manager.close()
    await fixture.damage(`${FIRST}.log`, (contents) =>
      contents.fill(contents[batchSize + 90] ^ 1, batchSize + 90, batchSize + 91),
    )
    await fixture.open()
    const log = await fixture.log()
    const read = (from: bigint) => log.read(from, { maxBytes: 10_000, limitOffset: 40n, atLeastOneBatch: true })
    assert.equal((await read(0n)).size, batchSize)
    await assert.rejects(
      async () => read(2n),
      (error) => error instanceof KafkaError && error.code === 'CORRUPT_MESSAGE',
    )
    assert.ok(fixture.events.every((event) => event.event === 'corrupt-batch' && event.position === batchSize))
    assert.equal((await read(4n)).size, 2 * batchSize)
  })
})

describe('files that can be had from others', () => {
  test('a missing or cut index is built anew', async () => {
    const fixture = await filled(40, { segmentBytes: 10 * batchSize, indexIntervalBytes: 1 })
    const names = [`${FIRST}.index`, '00000000000000000020.timeindex']
    const intact = await Promise.all(names.map((name) => fixture.disk.readFile(fixture.path(name))))
    await fixture.manager.close()
    await fixture.disk.remove(fixture.path(names[0]))
    await fixture.damage(names[1], (contents) => contents.subarray(0, 7))
    await fixture.open()
    assert.deepEqual(
      fixture.events.map(({ event }) => event),
      ['index-rebuilt', 'index-rebuilt'],
    )
    assert.deepEqual(await Promise.all(names.map((name) => fixture.disk.readFile(fixture.path(name)))), intact)
  })

  test('a damaged producer snapshot is replaced by reading more of the log', async () => {
    const fixture = await new LogFixture({ segmentBytes: 1000 }).open()
    let log = await fixture.log()
    for (let i = 0; i < 20; i++) log.append(batchOf(1, { producerId: 5n, producerEpoch: 0, baseSequence: i }), FROM_CLIENT)
    await fixture.manager.close()
    for (const name of await fixture.files('.snapshot')) await fixture.damage(name, (contents) => contents.fill(1, 2, 3))
    await fixture.open()
    log = await fixture.log()
    assert.equal(log.append(batchOf(1, { producerId: 5n, producerEpoch: 0, baseSequence: 15 }), FROM_CLIENT).duplicate, true)
  })

  test('a missing leader epoch checkpoint is read from the batches', async () => {
    const fixture = await filled(20)
    await fixture.manager.close()
    await fixture.disk.remove(fixture.path('leader-epoch-checkpoint'))
    await fixture.open()
    assert.deepEqual((await fixture.log()).endOffsetForEpoch(2), { leaderEpoch: 2, endOffset: 24n })
  })

  test('a damaged checkpoint of offsets costs a scan, and is reported', async () => {
    const fixture = await filled(8)
    await fixture.manager.close()
    await fixture.disk.replaceFile('/data/recovery-point-offset-checkpoint', Buffer.from('0\n7\nt 0 3\n'))
    await fixture.open()
    assert.equal((await fixture.log()).endOffset, 16n)
    assert.deepEqual(
      fixture.events.map(({ event }) => event),
      ['background-failure'],
    )
  })

  test('a checkpoint that Kafka has made and not written to yet is no news', async () => {
    const fixture = await filled(8)
    fixture.disk = fixture.disk.kill()
    await fixture.disk.replaceFile('/data/recovery-point-offset-checkpoint', Buffer.alloc(0))
    await fixture.open()
    assert.equal((await fixture.log()).endOffset, 16n)
    assert.deepEqual(fixture.events, [])
  })

  test('what a deletion or replacement left when it was cut short is cleared away', async () => {
    const fixture = await filled(2)
    fixture.disk = fixture.disk.kill()
    for (const name of ['00000000000000000009.log.deleted', '00000000000000000009.log.cleaned', 'leader-epoch-checkpoint.tmp']) {
      await fixture.disk.replaceFile(fixture.path(name), Buffer.from('x'))
    }
    await fixture.disk.makeDirectory('/data/u-0.0123456789abcdef-delete')
    await fixture.open()
    fixture.clock.advance(0)
    await settled()
    assert.deepEqual(
      (await fixture.files()).filter((name) => /deleted|cleaned|tmp/.test(name)),
      [],
    )
    assert.equal(await fixture.disk.exists('/data/u-0.0123456789abcdef-delete'), false)
  })

  test('a directory that is no log is left alone and named', async () => {
    const fixture = new LogFixture()
    await fixture.disk.makeDirectory('/data/lost+found')
    await fixture.open()
    assert.deepEqual(fixture.events, [{ event: 'stray-directory', path: '/data/lost+found' }])
  })
})

test('the log start survives restarts, also in the middle of a segment', async () => {
  const fixture = await filled(10)
  let log = await fixture.log()
  await log.advanceLogStartOffset(7n)
  log = await fixture.crash()
  assert.equal(log.logStartOffset, 7n)
  assert.equal(baseOffset((await readAll(log))[0]), 6n)
  log = await fixture.restart()
  assert.equal(log.logStartOffset, 7n)
})

test('a log deleted and made again under the same name inherits no checkpoint', async () => {
  const fixture = await filled(10)
  await (await fixture.log()).advanceLogStartOffset(9n)
  await fixture.manager.checkpoint()
  await fixture.manager.delete('t', 0)
  let log = await fixture.log()
  assert.deepEqual([log.logStartOffset, log.endOffset], [0n, 0n])
  log.append(batchOf(1), FROM_CLIENT)
  await log.flush()
  log = await fixture.crash()
  assert.deepEqual([log.logStartOffset, log.endOffset], [0n, 1n])
  assert.deepEqual(fixture.events, [])
})

for (const flushPolicy of ['group', 'os'] as const) {
  test(`the indexes of the active segment are in their files soon, under ${flushPolicy}, and written once`, async () => {
    const fixture = await filled(8, { indexIntervalBytes: batchSize, flushPolicy })
    const log = await fixture.log()
    const sizes = async () => {
      const files = ['.index', '.timeindex'].map((suffix) => fixture.disk.readFile(fixture.path(FIRST + suffix)))
      return (await Promise.all(files)).map(({ length }) => length)
    }
    // Every other batch is more than an interval behind the last entry; all have the same timestamp. These came with the file.
    assert.deepEqual(await sizes(), [3 * 8, 12])
    for (let i = 0; i < 4; i++) log.append(batchOf(2), FROM_CLIENT)
    await log.flush()
    assert.deepEqual(await sizes(), [3 * 8, 12])
    await fixture.manager.checkpoint()
    assert.deepEqual(await sizes(), [5 * 8, 12])
    const written = new Set<string>()
    fixture.onDiskCall = (operation, path) => {
      if (operation === 'write' && path.endsWith('index')) written.add(path)
    }
    await fixture.manager.checkpoint()
    assert.deepEqual([...written], [])
    // What a crash leaves of them is not believed.
    const recovered = await fixture.crash()
    assert.equal((await readAll(recovered)).length, 12)
    await fixture.manager.close()
    assert.deepEqual(await sizes(), [5 * 8, 12])
  })
}

test('the files are those of Kafka', async () => {
  const fixture = await filled(8, { segmentBytes: 4 * batchSize, indexIntervalBytes: batchSize })
  await fixture.manager.close()
  const { disk } = fixture
  const text = async (path: string) => (await disk.readFile(path)).toString()
  assert.deepEqual(await fixture.files(), [
    `${FIRST}.index`,
    `${FIRST}.log`,
    `${FIRST}.timeindex`,
    '00000000000000000008.index',
    '00000000000000000008.log',
    '00000000000000000008.snapshot',
    '00000000000000000008.timeindex',
    '00000000000000000016.snapshot',
    'leader-epoch-checkpoint',
    'partition.metadata',
  ])
  assert.equal(await text(fixture.path('partition.metadata')), `version: 0\ntopic_id: ${TOPIC_ID}\n`)
  assert.equal(await text(fixture.path('leader-epoch-checkpoint')), '0\n2\n0 0\n1 8\n')
  assert.equal(await text('/data/recovery-point-offset-checkpoint'), encodeCheckpoint(['t 0 16']).toString())
  assert.match(await text('/data/meta.properties'), /^version=1\ndirectory\.id=.{22}\nnode\.id=1\ncluster\.id=test\n$/)
  assert.match(await text('/data/.kafka_cleanshutdown'), /^\{"version":0,"brokerEpoch":-1,"manifest":\d+\}$/)
  const index = await disk.readFile(fixture.path('00000000000000000008.index'))
  // The third batch of the segment is the first behind more than an interval: its last offset, relative, and its position.
  assert.deepEqual([index.length, index.readInt32BE(0), index.readInt32BE(4)], [8, 5, 2 * batchSize])
  const timeIndex = await disk.readFile(fixture.path('00000000000000000008.timeindex'))
  assert.deepEqual([timeIndex.length, timeIndex.readBigInt64BE(0), timeIndex.readInt32BE(8)], [12, 1_750_000_000_000n, 1])
})
