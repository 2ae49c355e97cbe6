// The broker's keys about quotas. The quotas themselves are not configuration: clients set them by the quota APIs.

import { className, int, LONG_MAX, long } from '../definition.ts'

const WINDOWS = 'Samples kept to measure a quota.'
const SECONDS = 'Length of one such sample, in seconds.'
const accepted = { min: 1, honoured: 'accepted' } as const

export const QUOTA_KEYS = {
  'alter.log.dirs.replication.quota.window.num': int(11, WINDOWS, accepted),
  'alter.log.dirs.replication.quota.window.size.seconds': int(1, SECONDS, accepted),
  'client.quota.callback.class': className(null, 'Class that decides quotas.', {
    honoured: { refused: 'it runs no Java plug-ins' },
  }),
  'controller.quota.window.num': int(11, WINDOWS, accepted),
  'controller.quota.window.size.seconds': int(1, SECONDS, accepted),
  'follower.replication.throttled.rate': long(LONG_MAX, 'Bytes a second that throttled replicas fetch.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'leader.replication.throttled.rate': long(LONG_MAX, 'Bytes a second that throttled replicas are served.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'quota.window.num': int(11, WINDOWS, accepted),
  'quota.window.size.seconds': int(1, SECONDS, accepted),
  'replica.alter.log.dirs.io.max.bytes.per.second': long(LONG_MAX, 'Bytes a second that move between directories.', {
    min: 0,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'replication.quota.window.num': int(11, WINDOWS, accepted),
  'replication.quota.window.size.seconds': int(1, SECONDS, accepted),
} as const
