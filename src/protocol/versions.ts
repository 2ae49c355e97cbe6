// Ranges of versions, in the notation of Kafka's message definitions.

/** Versions as Kafka writes them: `3`, `2-4`, `7+`, `none`. Both ends are included. */
export interface Versions {
  readonly min: number
  readonly max: number
}

export const NO_VERSIONS: Versions = { min: 0, max: -1 }
export const ALL_VERSIONS: Versions = { min: 0, max: 0x7fff }

export function parseVersions(text: string): Versions {
  if (text === 'none') return NO_VERSIONS
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text)
  if (match === null) throw new Error(`not a version range: ${text}`)
  const min = Number(match[1])
  return { min, max: match[2] ? 0x7fff : Number(match[3] ?? min) }
}

export function within(versions: Versions, version: number): boolean {
  return version >= versions.min && version <= versions.max
}
