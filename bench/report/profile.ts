// The top of a CPU profile as lines of text: which functions a process spent its time in.

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

const LINES = 25

/** Shares of the time that was not spent waiting. */
export function profileSummary({ nodes, samples, timeDeltas }: CpuProfile): string {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const self = new Map<string, number>()
  samples.forEach((id, i) => {
    const name = names.get(id)!
    self.set(name, (self.get(name) ?? 0) + timeDeltas[i]!)
  })
  self.delete('(idle)')
  const total = [...self.values()].reduce((sum, time) => sum + time, 0)
  const top = [...self].sort(([, a], [, b]) => b - a).slice(0, LINES)
  const lines = top.map(([name, time]) => `  ${((time / total) * 100).toFixed(1).padStart(5)} %  ${name}`)
  return [`busy for ${(total / 1e6).toFixed(1)} s`, ...lines, ''].join('\n')
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^.*\/(src|node_modules)\//, '$1/')
  return `${functionName || '(anonymous)'}${file ? ` ${file}:${lineNumber + 1}` : ''}`
}
