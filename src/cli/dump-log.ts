// kafka-dump-log: prints what is in the files of a partition's directory, ours or Kafka's. Needs no broker.

import { basename } from 'node:path'
import { dumpOffsetIndex, dumpProducerSnapshot, dumpTimeIndex, dumpTransactionIndex, type IndexFlags } from './dump-indexes.ts'
import { dumpSegment } from './dump-segment.ts'
import { Printer } from './printer.ts'
import {
  clusterMetadataDecoder,
  offsetsDecoder,
  plainDecoder,
  type RecordDecoder,
  transactionLogDecoder,
} from './record-decoder.ts'
import { integer, runTool, text, toolCommand, UsageError } from './tool.ts'

const definition = {
  name: 'kafka-dump-log',
  summary: 'Prints what is in segment, index and snapshot files.',
  examples: `# every batch of a segment
kafka-dump-log.sh --files data/events-0/00000000000000000000.log
# every record, with key and value
kafka-dump-log.sh --files data/events-0/00000000000000000000.log --print-data-log
# positions and groups
kafka-dump-log.sh --files data/__consumer_offsets-7/00000000000000000000.log --offsets-decoder
# do the indexes fit the segment?
kafka-dump-log.sh --verify-index-only --files data/events-0/00000000000000000000.index,data/events-0/00000000000000000000.timeindex
`,
}

interface Flags extends IndexFlags {
  readonly files?: string
  readonly printDataLog?: boolean
  readonly deepIteration?: boolean
  readonly skipRecordMetadata?: boolean
  readonly offsetsDecoder?: boolean
  readonly transactionLogDecoder?: boolean
  readonly clusterMetadataDecoder?: boolean
  readonly keyDecoderClass?: string
  readonly valueDecoderClass?: string
  readonly maxBytes?: number
}

export async function run(args: string[]): Promise<void> {
  const command = toolCommand(definition)
    .addOption(
      text(
        '--files <paths>',
        'files to print, separated by commas: .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint (required)',
      ),
    )
    .option('--print-data-log', 'print records with their keys and values')
    .option('--deep-iteration', 'print records, without keys and values')
    .option('--skip-record-metadata', 'print nothing of records but keys and values')
    .option('--offsets-decoder', 'read records as those of __consumer_offsets')
    .option('--transaction-log-decoder', 'read records as those of __transaction_state')
    .option('--cluster-metadata-decoder', "read records as those of __cluster_metadata, the log of Kafka's controllers")
    .addOption(
      text(
        '--key-decoder-class <class>',
        'how to print keys: StringDecoder (the default), LongDecoder, IntegerDecoder, DefaultDecoder',
      ),
    )
    .addOption(text('--value-decoder-class <class>', 'how to print values'))
    .option('--verify-index-only', 'check indexes against their segment, print only what is wrong')
    .option('--index-sanity-check', 'only check what a broker checks of indexes when it starts')
    .addOption(integer('--max-bytes <number>', 'read only so much of each segment'))
    .addOption(integer('--max-message-size <bytes>', 'accepted and of no effect: batches are read whole').hideHelp())
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    if (flags.files === undefined) throw new UsageError('Missing required argument "--files"')
    const printer = new Printer(process.stdout)
    const problems: string[] = []
    for (const path of flags.files.split(',').map((file) => file.trim())) {
      await printer.line(`Dumping ${path}`)
      problems.push(...(await dump(path, flags, printer)))
    }
    await printer.flush()
    if (problems.length > 0) process.stderr.write(`${problems.join('\n')}\n`)
  })
}

/** What is wrong with the file, a line each. */
async function dump(path: string, flags: Flags, printer: Printer): Promise<string[]> {
  const name = basename(path)
  switch (name.slice(name.lastIndexOf('.'))) {
    case '.log':
    case '.checkpoint': {
      const decoder = decoderOf(flags)
      const printContents = flags.printDataLog === true || decoder.isChosen
      return dumpSegment(path, printer, {
        deep: flags.deepIteration === true || printContents,
        printContents,
        skipRecordMetadata: flags.skipRecordMetadata ?? false,
        decode: decoder.decode,
        maxBytes: flags.maxBytes ?? Number.POSITIVE_INFINITY,
      })
    }
    case '.index':
      return dumpOffsetIndex(path, printer, flags)
    case '.timeindex':
      return dumpTimeIndex(path, printer, flags)
    case '.txnindex':
      return dumpTransactionIndex(path, printer)
    case '.snapshot':
      return dumpProducerSnapshot(path, printer)
    default:
      return [`Ignoring unknown file ${path}`]
  }
}

function decoderOf(flags: Flags): { decode: RecordDecoder; isChosen: boolean } {
  if (flags.offsetsDecoder) return { decode: offsetsDecoder, isChosen: true }
  if (flags.transactionLogDecoder) return { decode: transactionLogDecoder, isChosen: true }
  if (flags.clusterMetadataDecoder) return { decode: clusterMetadataDecoder, isChosen: true }
  const { keyDecoderClass, valueDecoderClass } = flags
  const isChosen = (keyDecoderClass ?? valueDecoderClass) !== undefined
  return { decode: plainDecoder(keyDecoderClass ?? 'StringDecoder', valueDecoderClass ?? 'StringDecoder'), isChosen }
}
