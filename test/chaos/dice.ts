// Chance that repeats: everything a round decides comes from its seed. What processes and networks do with it does not repeat.

export class Dice {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** 0 to `bound` - 1. */
  below(bound: number): number {
    // mulberry32
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound)
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]
  }

  shuffled<T>(items: readonly T[]): T[] {
    const copy = [...items]
    for (let i = copy.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[copy[i], copy[j]] = [copy[j], copy[i]]
    }
    return copy
  }
}
