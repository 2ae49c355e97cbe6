// docs/cluster.md against a cluster on etcd's own server, started from the server.properties that it shows.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { clusterPageBlocks, runClusterPage } from '../support/cluster-page.ts'
import { type MoldauProcess, startMoldau } from '../support/moldau-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { startEtcd } from './etcd-process.ts'

test('what docs/cluster.md shows on three machines works as shown', async () => {
  await using directory = await temporaryDirectory()
  await using etcd = await startEtcd()
  const shown = (await clusterPageBlocks()).find(({ language }) => language === 'properties')?.text
  assert.ok(shown !== undefined)
  await using stack = new AsyncDisposableStack()
  const brokers: MoldauProcess[] = []
  for (const id of [1, 2, 3]) {
    const file = join(directory.path, `server-${id}.properties`)
    // All on one machine: other ports and directories than on three.
    const adapted = shown
      .replace(/^node\.id=.*$/m, `node.id=${id}`)
      .replace(/^cluster\.store=.*$/m, `cluster.store=etcd://${etcd.addresses.join()}`)
      .replace(/^listeners=.*$/m, 'listeners=PLAINTEXT://127.0.0.1:0')
      .replace(/^advertised\.listeners=.*\n/m, '')
      .replace(/^log\.dirs=.*$/m, `log.dirs=${join(directory.path, `broker-${id}`)}`)
    await writeFile(file, adapted)
    brokers.push(stack.use(await startMoldau(['--config', file])))
  }
  await runClusterPage(brokers.map(({ bootstrapServers }) => bootstrapServers).join(), etcd.addresses[0])
})
