// Machines for processes to run on: network namespaces joined by a bridge, which can be parted from each other one way and made slow.
// Where that is not to be had (it takes root, `ip` and `nft`) all are this machine, and nothing comes between them.

import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

const run = async (...[command, ...args]: string[]): Promise<string> => (await promisify(execFile)(command, args)).stdout

export interface Machine {
  readonly name: string
  readonly address: string
  /** What starts a command there. */
  readonly prefix: readonly string[]
}

export interface Machines extends AsyncDisposable {
  /** Whether `deafen` and `slow` do anything. */
  readonly areApart: boolean
  /** The one of that name, made if there is none yet. */
  add(name: string): Promise<Machine>
  /** Nothing that `from` sends arrives at `to` any more. */
  deafen(to: Machine, from: Machine): Promise<void>
  /** What it sends takes its time, and what does not fit into the queue is lost. */
  slow(machine: Machine, kbitPerSecond: number): Promise<void>
  /** Undoes all of that. */
  heal(): Promise<void>
}

/** What of this machine's is used is named for this process, and gone at its end. */
export async function findMachines(wanted: boolean): Promise<Machines> {
  return wanted && canNamespaces() ? Namespaces.start() : new OneMachine()
}

function canNamespaces(): boolean {
  if (process.getuid?.() !== 0) return false
  const name = `mc-${process.pid}-try`
  const works = ([command, ...args]: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
  const made = works(['ip', 'netns', 'add', name])
  const can = made && works(['ip', 'netns', 'exec', name, 'nft', 'add', 'table', 'inet', 'chaos'])
  if (made) works(['ip', 'netns', 'del', name])
  return can
}

class OneMachine implements Machines {
  readonly areApart = false

  async add(name: string): Promise<Machine> {
    return { name, address: '127.0.0.1', prefix: [] }
  }

  async deafen(): Promise<void> {}
  async slow(): Promise<void> {}
  async heal(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

const FIRST_HOST = 11
const GATEWAY = 1
const FILTER = `
table inet chaos {
  set deaf {
    type ipv4_addr
  }
  chain input {
    type filter hook input priority 0;
    ip saddr @deaf drop;
  }
}`

class Namespaces implements Machines {
  readonly areApart = true
  private readonly net: number
  private readonly bridge: string
  private readonly machines: Machine[] = []
  private readonly slowed = new Set<Machine>()

  private constructor(net: number) {
    this.net = net
    this.bridge = `mc${net}`
  }

  static async start(): Promise<Namespaces> {
    // The third byte of the addresses also tells two runs on one machine apart.
    for (let attempt = 0; ; attempt++) {
      const net = (process.pid + attempt) % 250
      const namespaces = new Namespaces(net)
      try {
        await run('ip', 'link', 'add', namespaces.bridge, 'type', 'bridge')
      } catch (error) {
        if (attempt < 10) continue
        throw error
      }
      process.once('exit', namespaces.clean)
      await run('ip', 'addr', 'add', `${namespaces.host(GATEWAY)}/24`, 'dev', namespaces.bridge)
      await run('ip', 'link', 'set', namespaces.bridge, 'up')
      return namespaces
    }
  }

  async add(name: string): Promise<Machine> {
    const known = this.machines.find((machine) => machine.name === name)
    if (known !== undefined) return known
    const { net, bridge } = this
    const namespace = `mc${net}-${name}`
    const inner = `mi${net}-${this.machines.length}`
    const outer = `mo${net}-${this.machines.length}`
    const address = this.host(FIRST_HOST + this.machines.length)
    const machine = { name, address, prefix: ['ip', 'netns', 'exec', namespace] }
    await run('ip', 'netns', 'add', namespace)
    this.machines.push(machine)
    const inside = (...command: string[]) => run(...machine.prefix, ...command)
    await run('ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', namespace)
    await run('ip', 'link', 'set', outer, 'master', bridge, 'up')
    await inside('ip', 'link', 'set', inner, 'name', 'eth0')
    await inside('ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    await inside('ip', 'link', 'set', 'eth0', 'up')
    await inside('ip', 'link', 'set', 'lo', 'up')
    await inside('nft', FILTER)
    return machine
  }

  async deafen(to: Machine, from: Machine): Promise<void> {
    await run(...to.prefix, 'nft', 'add', 'element', 'inet', 'chaos', 'deaf', `{ ${from.address} }`)
  }

  async slow(machine: Machine, kbitPerSecond: number): Promise<void> {
    this.slowed.add(machine)
    const rate = ['rate', `${kbitPerSecond}kbit`, 'burst', '16kb', 'latency', '500ms']
    await run(...machine.prefix, 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf', ...rate)
  }

  async heal(): Promise<void> {
    for (const { prefix } of this.machines) await run(...prefix, 'nft', 'flush', 'set', 'inet', 'chaos', 'deaf')
    for (const { prefix } of this.slowed) await run(...prefix, 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root')
    this.slowed.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.clean)
    this.clean()
  }

  /** Also at the end of a process that is interrupted, where nothing can be waited for. */
  private readonly clean = () => {
    for (const { prefix } of this.machines) spawnSync('ip', ['netns', 'del', prefix[3]])
    spawnSync('ip', ['link', 'del', this.bridge])
  }

  private host(number: number): string {
    return `10.213.${this.net}.${number}`
  }
}
