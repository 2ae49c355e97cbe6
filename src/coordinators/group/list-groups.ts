// ListGroups: the groups of this coordinator, by state and type if asked.

import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'

export interface GroupListing {
  readonly groupId: string
  readonly protocolType: string
  readonly groupState: string
  readonly groupType: string
}

/** Filters compare without regard to case; an empty one lets everything through, a word that we do not know nothing. */
export function listGroups(
  groups: Groups,
  statesFilter: readonly string[],
  typesFilter: readonly string[],
): GroupOutcome<readonly GroupListing[]> {
  const states = lowerCase(statesFilter)
  const types = lowerCase(typesFilter)
  const listings: GroupListing[] = []
  for (const { groupId, protocolType, state, type } of groups.all()) {
    if (states.size > 0 && !states.has(state.toLowerCase())) continue
    if (types.size > 0 && !types.has(type)) continue
    listings.push({ groupId, protocolType: protocolType ?? '', groupState: state, groupType: type })
  }
  return new GroupOutcome<readonly GroupListing[]>().reply(listings)
}

const lowerCase = (words: readonly string[]) => new Set(words.map((word) => word.toLowerCase()))
