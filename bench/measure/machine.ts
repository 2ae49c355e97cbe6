// The machine that a run ran on, without what is nobody's business: no names, no paths.

import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { mustRun } from '../../test/interop/command.ts'
import { median } from './statistics.ts'

export interface MachineDescription {
  readonly processor: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  /** Where brokers keep their data: file system and kind of device. */
  readonly disk: string
  /** Appending 4 KiB and flushing it, the median of some. */
  readonly flushMs: number
}

const FLUSHES = 100

/** @param directory where brokers keep their data */
export async function describeMachine(directory: string): Promise<MachineDescription> {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: `${type()} ${release().split('-')[0]}`,
    disk: await describeDisk(directory),
    flushMs: Number((await flushMs(directory)).toPrecision(3)),
  }
}

async function describeDisk(directory: string): Promise<string> {
  const { stdout } = await mustRun(['df', '--output=fstype,source', directory])
  const [fileSystem = 'unknown', device = ''] = stdout.trim().split('\n').at(-1)!.split(/\s+/)
  const block = /^\/dev\/([a-z]+|nvme\d+n\d+)/.exec(device)?.[1]
  if (block === undefined) return fileSystem
  const rotational = await readFile(`/sys/block/${block}/queue/rotational`, 'utf8').catch(() => undefined)
  const medium = rotational === undefined ? '' : rotational.trim() === '1' ? ', rotating' : ', not rotating'
  return `${fileSystem} on ${block.startsWith('vd') ? 'a virtual disk' : block.replace(/\d.*/, '')}${medium}`
}

async function flushMs(parent: string): Promise<number> {
  const directory = await mkdtemp(join(parent, 'flush-'))
  try {
    await using file = await open(join(directory, 'file'), 'w')
    const chunk = Buffer.alloc(4096, 'x')
    const times: number[] = []
    for (let i = 0; i < FLUSHES; i++) {
      const started = performance.now()
      await file.write(chunk)
      await file.datasync()
      times.push(performance.now() - started)
    }
    return median(times)
  } finally {
    await rm(directory, { recursive: true })
  }
}
