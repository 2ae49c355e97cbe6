// What happens between replicas, put into sentences for whoever runs the broker.

import type { ReplicationEvent } from '../cluster/replication/replication-event.ts'
import type { Logger } from '../host/logger.ts'

export function replicationEventLines(logger: Logger): (event: ReplicationEvent) => void {
  return (event) => {
    const partition = 'topic' in event ? `${event.topic}-${event.partition}` : ''
    switch (event.event) {
      case 'isr-shrinks':
        return logger.warn(
          `${partition}: ${event.without.join(', ')} lags behind and leaves the ISR: ${event.isr.join(', ')} stay`,
        )
      case 'isr-grows':
        return logger.info(`${partition}: ${event.by} has caught up and joins the ISR: ${event.isr.join(', ')}`)
      case 'isr-change-failed':
        return logger.info(`${partition}: the ISR could not be changed, trying again: ${event.error.message}`)
      case 'log-truncated':
        return logger.info(`${partition}: cut from offset ${event.from} to ${event.to}, where the leader's log goes another way`)
      case 'committed-records-lost':
        return logger.error(
          `${partition}: cut from ${event.from} to ${event.to} what was committed: its leader was elected without having it, or this is a bug`,
        )
      case 'log-restarted':
        return logger.warn(`${partition}: begins anew at offset ${event.at}: the leader keeps nothing that would go on from here`)
      case 'leadership-refused':
        return logger.error(
          `${partition}: does not lead in epoch ${event.leaderEpoch}, for its log has records of epoch ${event.latestEpoch}: were the metadata restored from a backup?`,
        )
      case 'replica-fetched-anew':
        return logger.error(`${partition}: thrown away, and fetched anew from its leader: ${event.error.message}`)
      case 'replica-failed':
        return logger.error(`${partition}: not served: ${event.error.message}`)
      case 'fetch-failed':
        return logger.warn(`${partition}: cannot be fetched from broker ${event.leader}, trying again: ${event.error.message}`)
      case 'leader-unreachable':
        return logger.warn(`nothing can be fetched from broker ${event.leader}, trying again: ${event.error.message}`)
      case 'leader-reachable':
        return logger.info(`broker ${event.leader} is fetched from again`)
    }
  }
}
