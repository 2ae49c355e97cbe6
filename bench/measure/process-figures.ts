// What Linux says of a process: the processor time it took, the memory it holds.

import { readFile, writeFile } from 'node:fs/promises'

/** Linux counts a process's time in hundredths of a second. */
const TICKS_PER_SECOND = 100

/** User and system time of all threads so far. */
export async function processorSeconds(pid: number): Promise<number> {
  // Behind the name, which may hold anything, come state and then numbers: user and system time are the 12th and 13th.
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1)!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** In units of 10^6 bytes. */
export function residentMegabytes(pid: number): Promise<number> {
  return statusMegabytes(pid, 'VmRSS')
}

/** The most it has held since it began, or since the peak was forgotten. */
export function peakMegabytes(pid: number): Promise<number> {
  return statusMegabytes(pid, 'VmHWM')
}

/** Lets a new measurement begin. Needs the rights of the process's owner; without them the peak stays the process's all-time one. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {})
}

/** What came from the disk, not from the page cache, so far. */
export async function diskReadMegabytes(pid: number): Promise<number> {
  const [, bytes] = /^read_bytes: (\d+)/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))!
  return Number(bytes) / 1e6
}

async function statusMegabytes(pid: number, field: string): Promise<number> {
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(await readFile(`/proc/${pid}/status`, 'utf8'))!
  return (Number(kilobytes) * 1024) / 1e6
}
