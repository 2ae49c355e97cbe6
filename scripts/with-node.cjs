// npm's scripts go through here: it installs what is missing, then runs its arguments on the Node that package.json pins.
// Plain JavaScript on purpose: it runs on whatever Node the machine has.
'use strict'
const { spawnSync } = require('node:child_process')
const { existsSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { onPinnedNode, pinnedNode, root } = require('../bin/launch.cjs')

process.chdir(root)
if (!installed()) {
  console.error('moldau: installing what package-lock.json names (once)')
  // Its output goes to standard error: standard output belongs to the command that follows.
  const npm = spawnSync('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], {
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (npm.status !== 0) {
    console.error('moldau: "npm ci" failed, see above')
    process.exit(1)
  }
}
onPinnedNode(process.argv.slice(2))

/** npm keeps the tree that it laid in node_modules/.package-lock.json: whatever of the lock file is not in there is missing. */
function installed() {
  const laid = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(laid) || !existsSync(pinnedNode)) return false
  const have = JSON.parse(readFileSync(laid, 'utf8')).packages
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  return Object.entries(want).every(([path, entry]) => path === '' || entry.optional || have[path]?.version === entry.version)
}
