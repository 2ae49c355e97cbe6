// `Groups` as a state machine that the runtime can run: what it does when it is loaded, and when a timer fires.

import type { GroupRecord } from '../../protocol/internal-records/group-records.ts'
import type { StateMachine } from '../runtime/partition-runtime.ts'
import type { GroupOutcome, GroupTimer } from './group-records.ts'
import { Groups } from './groups.ts'
import { resumeSessions, wake } from './wake.ts'

export class GroupMachine extends Groups implements StateMachine<GroupRecord, GroupTimer> {
  loaded(now: number): GroupOutcome<void> {
    return resumeSessions(this, now)
  }

  wake(timer: GroupTimer, now: number): GroupOutcome<void> {
    return wake(this, timer, now)
  }
}
