import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { definitions } from './registry.ts'

test('a key that is not marked as without effect is read somewhere', () => {
  const root = new URL('../../', import.meta.url)
  const sources = globSync('src/**/*.ts', { cwd: root })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => !path.endsWith('.test.ts') && !path.startsWith('src/config/keys/') && path !== 'src/config/cross-checks.ts')
    .map((path) => readFileSync(new URL(path, root), 'utf8'))
    .join('\n')
  const isRead = (key: string) => sources.includes(`'${key}'`)
  const behindTopics = new Set(
    definitions('topic').flatMap(([key, { brokerSynonyms }]) => (isRead(key) ? brokerSynonyms.map(({ name }) => name) : [])),
  )
  // Their names are put together from a prefix (cluster/internal-topics.ts).
  const internalTopics = /^(offsets\.topic|transaction\.state\.log)\.(num\.partitions|replication\.factor|segment\.bytes)$/
  for (const scope of ['topic', 'broker', 'group'] as const) {
    for (const [key, { honoured }] of definitions(scope)) {
      if (honoured !== true || internalTopics.test(key)) continue
      assert.ok(isRead(key) || behindTopics.has(key), `${key} is read nowhere: mark it 'accepted', or let it have its effect`)
    }
  }
})
