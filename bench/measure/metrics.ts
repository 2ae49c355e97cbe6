// Every figure that a load can yield, with its unit and which way is better: table, chart and documentation read it here.

export interface MetricDescription {
  /** Heads a column. */
  readonly label: string
  readonly better: 'more' | 'less'
}

export const METRICS = {
  recordsPerSecond: { label: 'records/s', better: 'more' },
  plainPerSecond: { label: 'records/s without', better: 'more' },
  keptShare: { label: 'with : without', better: 'more' },
  megabytesPerSecond: { label: 'MB/s', better: 'more' },
  startMs: { label: 'start to first ack, ms', better: 'less' },
  meanMs: { label: 'mean ms', better: 'less' },
  p50Ms: { label: 'p50 ms', better: 'less' },
  p99Ms: { label: 'p99 ms', better: 'less' },
  p999Ms: { label: 'p99.9 ms', better: 'less' },
  createSeconds: { label: 'create s', better: 'less' },
  connectSeconds: { label: 'connect s', better: 'less' },
  at10: { label: 'p50 ms at 10', better: 'less' },
  at100: { label: 'p50 ms at 100', better: 'less' },
  at1000: { label: 'p50 ms at 1,000', better: 'less' },
  at10000: { label: 'p50 ms at 10,000', better: 'less' },
  growth: { label: 'last : first', better: 'less' },
  cpuPerGb: { label: 'CPU s/GB', better: 'less' },
  cpuPerMillion: { label: 'CPU µs/record', better: 'less' },
  idleCpuPercent: { label: 'idle CPU %', better: 'less' },
  idleMb: { label: 'idle MB', better: 'less' },
  peakMb: { label: 'peak MB', better: 'less' },
} as const satisfies Record<string, MetricDescription>

export type Metric = keyof typeof METRICS
export type Values = { readonly [M in Metric]?: number }

/** In the order of the table above. */
export function metricsOf(values: readonly { readonly [M in Metric]?: unknown }[]): Metric[] {
  return (Object.keys(METRICS) as Metric[]).filter((metric) => values.some((some) => some[metric] !== undefined))
}
