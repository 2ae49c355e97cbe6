// Starts a command of src/cli on a Node that can run it. Plain JavaScript on purpose: it must load on any Node,
// also on one too old for the TypeScript behind it, and hand over to the one that the repository pins.
'use strict'
const { spawn } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { pathToFileURL } = require('node:url')

const MINIMUM_NODE = 24
const root = join(__dirname, '..')
const pinnedNode = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')

/** Runs a command (`start`, `topics`, …) with the arguments of this process. */
function launch(command) {
  if (Number(process.versions.node.split('.')[0]) < MINIMUM_NODE) return onPinnedNode(process.argv.slice(1))
  // Compiled code is kept on disk between runs: it takes two thirds off the time that start-up spends on loading.
  require('node:module').enableCompileCache?.(join(root, 'node_modules', '.cache', 'compile'))
  const arguments_ = command === undefined ? process.argv.slice(2) : [command, ...process.argv.slice(2)]
  // An installed package carries dist/ and no src/: Node strips no types below node_modules.
  const source = join(root, 'src', 'cli', 'main.ts')
  const main = existsSync(source) ? source : join(root, 'dist', 'cli', 'main.js')
  import(pathToFileURL(main).href).then((cli) => cli.main(arguments_))
}

/** Runs `node arguments_` on the pinned Node with this terminal and these signals, and ends as it ends. */
function onPinnedNode(arguments_) {
  if (!existsSync(pinnedNode)) {
    console.error(
      `moldau needs Node ${MINIMUM_NODE} or newer and this is ${process.version}: install a newer Node, or run "npm ci" here first`,
    )
    process.exit(1)
  }
  const child = spawn(pinnedNode, arguments_, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal has sent Ctrl-C to the child itself: once more would mean that the user is out of patience.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  // npm, told to stop, kills the shell between it and us, and the shell tells nobody.
  const parent = process.ppid
  const orphaned = setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 500)
  child.on('exit', (code, signal) => {
    clearInterval(orphaned)
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

module.exports = { launch, onPinnedNode, pinnedNode, root }
