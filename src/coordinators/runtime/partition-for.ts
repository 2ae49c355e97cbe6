// Which partition of an internal topic answers for an id: groups in `__consumer_offsets`, transactional ids in `__transaction_state`.
// Clients never compute it, but data written by Kafka is found only where Kafka would look.

/** Kafka's choice: the absolute value of Java's hash of the id, and 0 for the one hash that has none. */
export function partitionFor(id: string, partitions: number): number {
  const hash = javaHash(id)
  return hash === -0x8000_0000 ? 0 : Math.abs(hash) % partitions
}

/** Over UTF-16 code units, in 32 bits, as `String.hashCode` of Java. */
function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}
