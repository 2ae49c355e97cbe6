// Apache Kafka on a data directory that outlives its process, and its tools: what TEST_BROKER=apache-kafka runs instead of ours.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts, javaCommand } from '../interop/apache-kafka.ts'

/** What the scripts in Kafka's bin/ start. */
const MAIN_CLASSES: Readonly<Record<string, string>> = {
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'kafka-console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
  'kafka-delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  'kafka-broker-api-versions': 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  'kafka-transactions': 'org.apache.kafka.tools.TransactionsCommand',
  'kafka-dump-log': 'org.apache.kafka.tools.DumpLogSegments',
}

export async function apacheKafkaCommand(dataDirectory: string, port: number, config: Readonly<Record<string, string>>) {
  const [freePort, controllerPort] = await freePorts(2)
  const brokerPort = port === 0 ? freePort! : port
  const file = join(dataDirectory, 'server.properties')
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${brokerPort},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${brokerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dataDirectory, 'logs'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    ...config,
  }
  await mkdir(dataDirectory, { recursive: true })
  await writeFile(
    file,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  if (!existsSync(join(dataDirectory, 'logs', 'meta.properties'))) {
    const clusterId = randomBytes(16).toString('base64url')
    const [format, ...formatArgs] = await javaCommand('kafka.tools.StorageTool', [
      'format',
      `--cluster-id=${clusterId}`,
      '-c',
      file,
    ])
    await promisify(execFile)(format!, formatArgs, { cwd: dataDirectory })
  }
  const [command, ...args] = await javaCommand('kafka.Kafka', [file])
  // Its log must say that it has started.
  return { command: command!, args: ['-Dmoldau.log.level=INFO', ...args], port: brokerPort }
}

export async function apacheKafkaTool(name: string, args: readonly string[]) {
  const [command, ...rest] = await javaCommand(MAIN_CLASSES[name]!, args)
  return { command: command!, args: rest }
}
