// Elections in which nobody was known to have everything: told by the controller, and counted, for each may have lost records.

import type { ImagePublisher } from './image-publisher.ts'
import { NO_LEADER } from './metadata-records.ts'

/** Told one by one up to here, of one change of the metadata; the others by their number. */
const TOLD_EACH = 10

export class UncleanElections {
  /** Since this process was started, while it was the controller. */
  count = 0
  readonly close: () => void

  constructor(publisher: ImagePublisher, isController: () => boolean, report: (line: string) => void) {
    this.close = publisher.onChange((_image, { changedPartitions }) => {
      if (!isController()) return
      let told = 0
      for (const { topic, index, before, after } of changedPartitions) {
        const isElection = after.leader !== NO_LEADER && after.leaderEpoch !== before?.leaderEpoch
        if (!isElection || !after.recovering || before?.leader === after.leader) continue
        this.count++
        if (++told <= TOLD_EACH)
          report(`${topic.name}-${index}: broker ${after.leader} leads, though it may lack records that were acknowledged`)
      }
      if (told > TOLD_EACH)
        report(`${told - TOLD_EACH} more partitions are led by brokers that may lack records that were acknowledged`)
    })
  }
}
