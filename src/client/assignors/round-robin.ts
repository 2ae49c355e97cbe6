// All partitions of all topics in one row, dealt out to the members in turn. A member that does not subscribe to a topic is passed over.

import { type Assignor, compare, emptyAssignments, inOrder } from './assignor.ts'

export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  cooperative: false,
  assign(members, counts) {
    const assignments = emptyAssignments(members)
    const ordered = inOrder(members)
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort(compare)
    let turn = 0
    for (const topic of topics) {
      for (let partition = 0; partition < (counts.get(topic) ?? 0); partition++) {
        while (!ordered[turn % ordered.length].topics.includes(topic)) turn++
        assignments.get(ordered[turn % ordered.length].memberId)!.push({ topic, partition })
        turn++
      }
    }
    return assignments
  },
}
