// What is made of several rounds: medians, their spread, ratios.

/** Of one figure, over the rounds of a run. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  /** In the order of the rounds. */
  readonly rounds: readonly number[]
}

/** At least one round. */
export function summarize(rounds: readonly number[]): Summary {
  return { median: median(rounds), min: Math.min(...rounds), max: Math.max(...rounds), rounds }
}

export function median(numbers: readonly number[]): number {
  if (numbers.length === 0) throw new RangeError('nothing has no median')
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Three significant digits, thousands parted: 1234567 is 1,230,000. */
export function display(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const rounded = Number(value.toPrecision(3))
  return Math.abs(rounded) >= 100 ? rounded.toLocaleString('en-US') : rounded.toString()
}
