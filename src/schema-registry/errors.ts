// What the registry refuses, in the terms of Confluent's REST API: an HTTP status, a code that clients compare, a sentence for people.

export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly status: number
  /** Clients tell errors apart by it: the status, mostly with two more digits. */
  readonly code: number

  constructor(status: number, code: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
    this.code = code
  }
}

const refusal = (status: number, code: number, message: string) => new RegistryError(status, code, message)

export const subjectNotFound = (subject: string) => refusal(404, 40401, `Subject '${subject}' not found.`)
export const versionNotFound = (version: number | string) => refusal(404, 40402, `Version ${version} not found.`)
export const schemaNotFound = (id?: number | string) =>
  refusal(404, 40403, id === undefined ? 'Schema not found' : `Schema ${id} not found`)
export const subjectSoftDeleted = (subject: string) =>
  refusal(404, 40404, `Subject '${subject}' was soft deleted. Set permanent=true to delete permanently`)
export const subjectNotSoftDeleted = (subject: string) =>
  refusal(404, 40405, `Subject '${subject}' was not deleted first before being permanently deleted`)
export const versionSoftDeleted = (subject: string, version: number) =>
  refusal(404, 40406, `Subject '${subject}' Version ${version} was soft deleted. Set permanent=true to delete permanently`)
export const versionNotSoftDeleted = (subject: string, version: number) =>
  refusal(404, 40407, `Subject '${subject}' Version ${version} was not deleted first before being permanently deleted`)
export const compatibilityNotConfigured = (subject: string) =>
  refusal(404, 40408, `Subject '${subject}' does not have subject-level compatibility configured`)
export const modeNotConfigured = (subject: string) =>
  refusal(404, 40409, `Subject '${subject}' does not have subject-level mode configured`)
/** The code is the bare status: the one error that has no digits of its own. */
export const incompatibleSchema = (message: string) => refusal(409, 409, message)
export const invalidSchema = (message: string, cause?: unknown) => new RegistryError(422, 42201, message, { cause })
export const invalidVersion = (version: string) =>
  refusal(
    422,
    42202,
    `The specified version '${version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`,
  )
export const invalidCompatibility = (level: unknown) =>
  refusal(
    422,
    42203,
    `Invalid compatibility level ${JSON.stringify(level)}. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive`,
  )
export const invalidMode = (mode: unknown) =>
  refusal(422, 42204, `Invalid mode ${JSON.stringify(mode)}. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT`)
export const notPermitted = (message: string) => refusal(422, 42205, message)
export const referenceExists = (subject: string, version: number) =>
  refusal(422, 42206, `One or more references exist to the schema {subject=${subject},version=${version}}`)
export const idDoesNotMatch = (message: string) => refusal(422, 42207, message)
export const invalidSubject = (subject: string) =>
  refusal(422, 42208, `The specified subject '${subject}' is not a valid subject.`)
export const invalidRequest = (message: string) => refusal(422, 422, message)
export const storeFailed = (message: string, cause: unknown) => new RegistryError(500, 50001, message, { cause })
export const timedOut = (message: string, cause?: unknown) => new RegistryError(500, 50002, message, { cause })
export const forwardingFailed = (message: string, cause: unknown) => new RegistryError(500, 50003, message, { cause })
export const unknownLeader = (message: string) => refusal(500, 50004, message)
