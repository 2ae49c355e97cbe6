// Python clients: each version in a virtual environment of its own in the cache directory, its cases a script that prints one line per case.

import { existsSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheDirectory } from './apache-kafka.ts'
import { mustRun, runCommand } from './command.ts'
import type { CaseResult, Suite, Target } from './suite.ts'

const SCRIPT_TIMEOUT_MS = 180_000

/** What a script is told: where to find what it talks to, by default the broker. */
type Serve = (target: Target) => Promise<{ readonly address: string } & AsyncDisposable>

/** `versions` are pip's requirements. */
export function pythonSuite(script: string, versions: readonly string[], serve: Serve = theBroker): Suite {
  const file = fileURLToPath(new URL(`python/${script}`, import.meta.url))
  return {
    config: { 'num.partitions': '1', 'auto.create.topics.enable': 'true', 'group.initial.rebalance.delay.ms': '0' },

    async prepare() {
      for (const version of versions) await install(version)
    },

    async *run(target, only) {
      await using service = await serve(target)
      for (const version of versions) {
        const lines: CaseResult[] = []
        const onLine = (line: string) => {
          const [, outcome, name, detail] = /^(pass|fail) ([^|]+?)(?: \| (.*))?$/.exec(line) ?? []
          if (name !== undefined) lines.push({ name, outcome: outcome as 'pass' | 'fail', ...(detail && { detail }) })
        }
        const command = [join(environment(version), 'bin', 'python'), file, service.address]
        const result = await runCommand(command, { onLine, timeoutMs: SCRIPT_TIMEOUT_MS })
        yield* lines.filter(({ name }) => only.test(name))
        if (result.code !== 0) yield { name: `${version} ends`, outcome: 'fail', detail: result.output.slice(-2000) }
      }
    },
  }
}

async function theBroker({ bootstrapServers }: Target) {
  return { address: bootstrapServers, async [Symbol.asyncDispose]() {} }
}

function environment(requirement: string): string {
  return cacheDirectory(`python-${requirement.replace(/\[.*\]/, '-extras').replace('==', '-')}`)
}

async function install(requirement: string): Promise<void> {
  const directory = environment(requirement)
  // Written last: an environment that broke off on the way is made again.
  const marker = join(directory, 'complete')
  if (existsSync(marker)) return
  await mkdir(join(directory, '..'), { recursive: true })
  await mustRun(['python3', '-m', 'venv', '--clear', directory], { timeoutMs: 300_000 })
  await mustRun([join(directory, 'bin', 'pip'), 'install', '--quiet', requirement], { timeoutMs: 600_000 })
  await mkdir(`${marker}.aside`)
  await rename(`${marker}.aside`, marker)
}
