// docs/cluster.md is run: what it shows is done by a shell, in order, against the three brokers that it starts, on free ports. What needs
// etcd or three machines is run by test/etcd/cluster-docs-on-etcd.ts.

import { test } from 'node:test'
import { runClusterPage } from './support/cluster-page.ts'
import { startMoldau } from './support/moldau-process.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

test('what docs/cluster.md shows on one machine works as shown', async () => {
  await using directory = await temporaryDirectory()
  await using nodes = await startMoldau(['--nodes', '3', '--port', '0', '--data-dir', directory.path], {
    KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
  })
  await runClusterPage(nodes.bootstrapServers, undefined)
})
