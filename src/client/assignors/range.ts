// Each topic by itself: its partitions in contiguous ranges, the first members getting one more where it does not come out even.
// Topics with equal partition counts are cut alike, so that their keys meet in one member.

import { type Assignor, compare, emptyAssignments, inOrder } from './assignor.ts'

export const rangeAssignor: Assignor = {
  name: 'range',
  cooperative: false,
  assign(members, counts) {
    const assignments = emptyAssignments(members)
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort(compare)
    for (const topic of topics) {
      const subscribed = inOrder(members.filter((member) => member.topics.includes(topic)))
      const count = counts.get(topic) ?? 0
      const share = Math.floor(count / subscribed.length)
      const larger = count % subscribed.length
      let partition = 0
      for (const [index, member] of subscribed.entries()) {
        const end = partition + share + (index < larger ? 1 : 0)
        for (; partition < end; partition++) assignments.get(member.memberId)!.push({ topic, partition })
      }
    }
    return assignments
  },
}
