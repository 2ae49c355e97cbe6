import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { definitions, findDefinition } from './registry.ts'
import { parseConfigValue } from './value.ts'

test('each key of a topic is acted on or refused, or says why that it has no effect is right', () => {
  for (const [key, { honoured }] of definitions('topic')) assert.notEqual(honoured, 'accepted', key)
})

test('what a topic cannot have is refused by name, with the reason', () => {
  const refused = {
    'compression.lz4.level': '12',
    'local.retention.bytes': '1000',
    'local.retention.ms': '1000',
    preallocate: 'true',
    'remote.log.copy.disable': 'true',
    'remote.log.delete.on.disable': 'true',
    'remote.storage.enable': 'true',
  }
  for (const [key, text] of Object.entries(refused)) {
    const definition = findDefinition('topic', key)!
    const broker = definition.brokerSynonyms.map(({ name }) => [name, findDefinition('broker', name)!] as const)
    for (const [name, of] of [[key, definition] as const, ...broker]) {
      assert.throws(() => parseConfigValue(name, of, text), {
        key: name,
        message: new RegExp(`^${name} is not supported .* because it|${name}.* because Node`),
      })
      parseConfigValue(name, of, of.defaultText!)
    }
  }
})

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
