// The pages of docs/ that follow from the code do follow from it.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { PAGES } from '../scripts/generate-docs.ts'
import { handlers } from '../src/broker/handlers/all-handlers.ts'

for (const [name, page] of Object.entries(PAGES)) {
  test(`docs/${name} is current`, async () => {
    const committed = await readFile(new URL(`../docs/${name}`, import.meta.url), 'utf8')
    assert.ok(committed === page(), `docs/${name} differs from what the code says: run "npm run docs"`)
  })
}

test('every API that clients are served has a row in docs/protocol-support.md', () => {
  const support = PAGES['protocol-support.md']!()
  for (const { api, interBroker } of handlers)
    if (!interBroker) assert.match(support, new RegExp(`^\\| ${api.key} \\| ${api.name} \\| \\d`, 'm'))
})
