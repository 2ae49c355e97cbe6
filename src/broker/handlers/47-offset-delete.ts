import { OffsetDelete } from '../../protocol/messages/47-offset-delete.ts'
import { handler } from './handler.ts'

/** Deletes a group's offsets for topics that it does not read any more. */
export const offsetDelete = handler(OffsetDelete, {
  handle: (request, services) => services.groups.offsetDelete(request),
  fail: (_request, error) => ({ errorCode: error.errorCode, topics: [] }),
})
