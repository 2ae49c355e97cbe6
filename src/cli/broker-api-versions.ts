// kafka-broker-api-versions: which APIs each broker has, and in which versions.

import { Admin } from '../client/admin.ts'
import type { ClusterClient } from '../client/cluster-client.ts'
import { apis, apisByKey } from '../protocol/apis.ts'
import type { Versions } from '../protocol/schema.ts'
import { oneLine, runTool, toolCommand, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-broker-api-versions',
  summary: 'Prints the versions of each API that each broker speaks, and the newest that this client can use.',
  examples: `kafka-broker-api-versions.sh --bootstrap-server localhost:9092
`,
}

/** What brokers may name and this client has no messages for. */
const OTHER_NAMES: Readonly<Record<number, string>> = {
  29: 'DescribeAcls',
  30: 'CreateAcls',
  31: 'DeleteAcls',
  34: 'AlterReplicaLogDirs',
  38: 'CreateDelegationToken',
  39: 'RenewDelegationToken',
  40: 'ExpireDelegationToken',
  41: 'DescribeDelegationToken',
  50: 'DescribeUserScramCredentials',
  51: 'AlterUserScramCredentials',
  55: 'DescribeQuorum',
  57: 'UpdateFeatures',
  64: 'UnregisterBroker',
  68: 'ConsumerGroupHeartbeat',
  69: 'ConsumerGroupDescribe',
  71: 'GetTelemetrySubscriptions',
  72: 'PushTelemetry',
  76: 'ShareGroupHeartbeat',
  77: 'ShareGroupDescribe',
  78: 'ShareFetch',
  79: 'ShareAcknowledge',
  80: 'AddRaftVoter',
  81: 'RemoveRaftVoter',
  83: 'InitializeShareGroupState',
  84: 'ReadShareGroupState',
  85: 'WriteShareGroupState',
  86: 'DeleteShareGroupState',
  87: 'ReadShareGroupStateSummary',
  88: 'StreamsGroupHeartbeat',
  89: 'StreamsGroupDescribe',
  90: 'DescribeShareGroupOffsets',
  91: 'AlterShareGroupOffsets',
  92: 'DeleteShareGroupOffsets',
}

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
  await runTool(definition, command, args, async () => {
    await withCluster(command.opts(), { clientId: 'kafka-broker-api-versions' }, printAll)
  })
}

async function printAll(cluster: ClusterClient): Promise<void> {
  const { brokers } = await new Admin(cluster).cluster.describe()
  for (const { nodeId, host, port, rack, isFenced } of brokers) {
    const broker = `${host}:${port} (id: ${nodeId} rack: ${rack} isFenced: ${isFenced})`
    try {
      const { versions } = await cluster.broker(nodeId)
      console.log(`${broker} -> ${describe(versions)}`)
    } catch (error) {
      console.log(`${broker} -> ERROR: ${oneLine(error)}`)
      process.exitCode = 1
    }
  }
}

/** In the order of the keys; what the client knows and the broker lacks is UNSUPPORTED. */
export function describe(versions: ReadonlyMap<number, Versions>): string {
  const keys = new Set([...versions.keys(), ...apis.map((api) => api.key)])
  const lines = [...keys].sort((a, b) => a - b).map((key) => `\n\t${line(key, versions.get(key))}`)
  return `(${lines.join(',')}\n)`
}

function line(key: number, range: Versions | undefined): string {
  const api = apisByKey.get(key)
  const name = `${api?.name ?? OTHER_NAMES[key] ?? 'UNKNOWN'}(${key})`
  if (range === undefined) return `${name}: UNSUPPORTED`
  const text = range.min === range.max ? `${range.min}` : `${range.min} to ${range.max}`
  if (api === undefined) return `${name}: ${text}`
  const newest = Math.min(range.max, api.versions.max)
  if (newest >= Math.max(range.min, api.versions.min)) return `${name}: ${text} [usable: ${newest}]`
  return `${name}: ${text} [unusable: node too ${range.min > api.versions.max ? 'new' : 'old'}]`
}
