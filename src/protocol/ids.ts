// Ids that must not be mixed up: plain strings and numbers at run time, distinct types to the compiler.

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** Sixteen bytes as 22 characters of base64url. */
export type TopicId = Branded<string, 'TopicId'>
export type BrokerId = Branded<number, 'BrokerId'>
export type ProducerId = Branded<bigint, 'ProducerId'>
export type LeaderEpoch = Branded<number, 'LeaderEpoch'>

/** On the wire: no topic id. */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'
/** No producer id: the batch is not idempotent. */
export const NO_PRODUCER_ID = -1n
