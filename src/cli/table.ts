// Tables as Java's printf lays them out: every cell padded to its column and one blank between them.

/** A width of 0 does not pad. Cells that are wider than their column push the rest to the right. */
export function row(widths: readonly number[], cells: readonly string[]): string {
  return cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' ')
}

export function widest(atLeast: number, cells: readonly string[]): number {
  return cells.reduce((width, cell) => Math.max(width, cell.length), atLeast)
}
