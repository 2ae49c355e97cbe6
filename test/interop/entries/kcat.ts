// kcat (librdkafka's command line, Debian's package): what people type in their first hour. Every case's output is compared with Apache Kafka's.

import { runCommand } from '../command.ts'
import { runCases, type Suite, type Target } from '../suite.ts'

/** Every record with all that travelled with it; lengths tell null (-1) from empty (0). */
const ALL = '%t %p %o key %K <%k> value %S <%s> headers <%h>\\n'
/** A group's consumer that ends at the end of its partitions. */
const AT_ONCE = ['-X', 'auto.offset.reset=earliest', '-e', '-q', '-f', ALL]

export const suite: Suite = {
  config: { 'num.partitions': '1', 'auto.create.topics.enable': 'true', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    if ((await installed()) || (process.getuid?.() === 0 && (await install()))) return
    throw new Error('kcat is missing: apt-get install kcat')
  },

  run: runCases({
    'lists brokers and topics': async (target) => {
      await produce(target, 'listed', 'one\n')
      return texts([await kcat(target, '-L', '-t', 'listed'), await kcat(target, '-L', '-J', '-t', 'listed')])
    },

    'produces and consumes lines, and creates the topic': async (target) => {
      await produce(target, 'lines', 'one\ntwo\nthree\n')
      return kcat(target, '-C', '-t', 'lines', '-e', '-q', '-f', ALL)
    },

    'keeps null and empty apart in keys and values': async (target) => {
      await produce(target, 'empties', 'key:value\n:empty key\nempty value:\n', '-K', ':')
      await produce(target, 'empties', 'null value:\n', '-K', ':', '-Z')
      await produce(target, 'empties', 'no key\n')
      return kcat(target, '-C', '-t', 'empties', '-e', '-q', '-f', ALL)
    },

    'carries headers': async (target) => {
      await produce(target, 'headers', 'payload\n', '-H', 'a=1', '-H', 'b=', '-H', 'a=2', '-H', 'null')
      await produce(target, 'headers', 'none\n')
      return kcat(target, '-C', '-t', 'headers', '-e', '-q', '-J')
    },

    'compresses with every codec': async (target) => {
      const payload = `${Array.from({ length: 500 }, (_, i) => `record ${i} ${'moldau '.repeat(20)}`).join('\n')}\n`
      for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) await produce(target, 'codecs', payload, '-z', codec)
      const lines = (await kcat(target, '-C', '-t', 'codecs', '-e', '-q', '-f', '%o %s\\n')).trim().split('\n')
      lines.forEach((line, i) => {
        const expected = `${i} record ${i % 500} ${'moldau '.repeat(20)}`
        if (line.trim() !== expected.trim()) throw new Error(`line ${i} is ${line.slice(0, 60)}`)
      })
      return `${lines.length} records\n`
    },

    'acknowledges with acks 0, 1 and all, and produces idempotently': async (target) => {
      for (const acks of ['0', '1', 'all']) await produce(target, 'acks', `acks ${acks}\n`, '-X', `acks=${acks}`)
      await produce(target, 'acks', 'idempotent\nidempotent\n', '-X', 'enable.idempotence=true')
      return kcat(target, '-C', '-t', 'acks', '-c', '5', '-q', '-f', ALL)
    },

    'starts at absolute, relative, first, last and stored offsets': async (target) => {
      await produce(target, 'offsets', Array.from({ length: 10 }, (_, i) => `${i}\n`).join(''))
      const from = (offset: string) => kcat(target, '-C', '-t', 'offsets', '-p', '0', '-o', offset, '-e', '-q')
      return texts(await Promise.all(['7', '-3', 'beginning', 'end'].map(from)))
    },

    'an offset out of range starts where auto.offset.reset says': async (target) => {
      await produce(target, 'reset', 'one\ntwo\n')
      const from = (reset: string) =>
        kcat(target, '-C', '-t', 'reset', '-p', '0', '-o', '99', '-X', `auto.offset.reset=${reset}`, '-e', '-q')
      return texts([await from('earliest'), await from('latest'), await from('error')])
    },

    'finds offsets by time': async (target) => {
      await produce(target, 'times', 'one\ntwo\n')
      const [first] = (await kcat(target, '-C', '-t', 'times', '-e', '-q', '-f', '%T\\n')).split('\n')
      const query = (time: string) => kcat(target, '-Q', '-t', `times:0:${time}`)
      const past = await kcat(target, '-C', '-t', 'times', '-p', '0', '-o', `s@${first}`, '-e', '-q')
      const future = String(Number(first) + 3_600_000)
      return texts([past, ...(await Promise.all([first!, '0', future, '-1', '-2'].map(query)))])
    },

    'a group commits and goes on where it stopped': async (target) => {
      await produce(target, 'grouped', 'one\ntwo\n')
      const first = await kcat(target, '-G', 'group-of-one', ...AT_ONCE, 'grouped')
      await produce(target, 'grouped', 'three\n')
      const second = await kcat(target, '-G', 'group-of-one', ...AT_ONCE, 'grouped')
      const other = await kcat(target, '-G', 'other-group', ...AT_ONCE, 'grouped')
      return texts([first, second, other])
    },

    'a group subscribes by regular expression': async (target) => {
      for (const topic of ['match-a', 'match-b', 'other']) await produce(target, topic, `${topic}\n`)
      const lines = await kcat(target, '-G', 'by-expression', ...AT_ONCE, '^match-.*')
      return lines.trim().split('\n').sort().join('\n')
    },

    'members of every assignment strategy and static members join': async (target) => {
      await produce(target, 'strategies', 'one\n')
      const join = (strategy: string) =>
        kcat(target, '-G', `by-${strategy}`, ...AT_ONCE, '-X', `partition.assignment.strategy=${strategy}`, 'strategies')
      const still = () => kcat(target, '-G', 'static', ...AT_ONCE, '-X', 'group.instance.id=i', 'strategies')
      return texts([
        await join('range'),
        await join('roundrobin'),
        await join('cooperative-sticky'),
        await still(),
        await still(),
      ])
    },

    'a consumer of a topic that is not there is told so': (target) =>
      kcat(target, '-C', '-t', 'not-there', '-e', '-X', 'allow.auto.create.topics=false'),

    'a record that is too large is refused': async (target) => {
      await produce(target, 'large', `${'x'.repeat(900_000)}\n`)
      const lengths = await kcat(target, '-C', '-t', 'large', '-e', '-q', '-f', '%S\\n')
      const refused = await kcatWith(target, `${'x'.repeat(1_500_000)}\n`, '-P', '-t', 'large', '-X', 'message.max.bytes=2000000')
      return texts([lengths, refused])
    },

    'an invalid topic name is refused': (target) =>
      kcatWith(target, 'x\n', '-P', '-t', 'no/slash', '-X', 'message.timeout.ms=3000'),
  }),
}

async function installed(): Promise<boolean> {
  return (await runCommand(['kcat', '-V']).catch(() => undefined))?.code === 0
}

async function install(): Promise<boolean> {
  return (await runCommand(['apt-get', 'install', '-y', 'kcat'], { timeoutMs: 300_000 })).code === 0 && (await installed())
}

async function produce(target: Target, topic: string, lines: string, ...args: string[]): Promise<void> {
  const said = await kcatWith(target, lines, '-P', '-t', topic, ...args)
  if (said !== '') throw new Error(`producing to ${topic} said: ${said}`)
}

function kcat(target: Target, ...args: string[]): Promise<string> {
  return kcatWith(target, undefined, ...args)
}

/** What it wrote, and its exit code if it failed. */
async function kcatWith({ bootstrapServers }: Target, input: string | undefined, ...args: string[]): Promise<string> {
  const command = ['kcat', '-b', bootstrapServers, '-X', 'broker.address.family=v4', '-X', 'log_level=3', ...args]
  const { code, output, timedOut } = await runCommand(command, { ...(input !== undefined && { input }), timeoutMs: 20_000 })
  if (timedOut) throw new Error(`kcat ${args.join(' ')} did not end:\n${output.slice(-2000)}`)
  return code === 0 ? output : `${output}exit code ${code}\n`
}

function texts(parts: readonly string[]): string {
  return parts.join('--\n')
}
