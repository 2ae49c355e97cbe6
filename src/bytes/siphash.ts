// SipHash-2-4 with 128 bits of output: short inputs hashed under a secret key, so that nobody who doesn't have it can find two inputs
// that look the same, in a quarter of the time that a call of a cryptographic hash takes. By J.-P. Aumasson and D. J. Bernstein,
// https://www.aumasson.jp/siphash/siphash.pdf. 64-bit words are pairs of 32-bit ones here, the low one first.

/** Words of a key, and of an output. */
export const SIPHASH_WORDS = 4

/** Writes the hash of `bytes` under `key` into the first four words of `out`. */
export function siphash128(bytes: Uint8Array, key: Int32Array, out: Int32Array): void {
  let v0l = key[0] ^ 0x70736575
  let v0h = key[1] ^ 0x736f6d65
  let v1l = key[2] ^ 0x6e646f6d ^ 0xee
  let v1h = key[3] ^ 0x646f7261
  let v2l = key[0] ^ 0x6e657261
  let v2h = key[1] ^ 0x6c796765
  let v3l = key[2] ^ 0x79746573
  let v3h = key[3] ^ 0x74656462
  const { length } = bytes
  // The last block has what is left over, and the length.
  const blocks = (length >>> 3) + 1
  for (let block = 0; block < blocks + 2; block++) {
    let rounds = 2
    let ml = 0
    let mh = 0
    if (block < blocks) {
      const at = block << 3
      if (at + 8 <= length) {
        ml = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
        mh = bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16) | (bytes[at + 7] << 24)
      } else {
        for (let i = at; i < length; i++) {
          if (i - at < 4) ml |= bytes[i] << ((i - at) << 3)
          else mh |= bytes[i] << ((i - at - 4) << 3)
        }
        mh |= length << 24
      }
      v3l ^= ml
      v3h ^= mh
    } else {
      rounds = 4
      if (block === blocks) v2l ^= 0xee
      else {
        out[0] = v0l ^ v1l ^ v2l ^ v3l
        out[1] = v0h ^ v1h ^ v2h ^ v3h
        v1l ^= 0xdd
      }
    }
    for (; rounds > 0; rounds--) {
      let low = (v0l >>> 0) + (v1l >>> 0)
      v0h = (v0h + v1h + (low > 0xffff_ffff ? 1 : 0)) | 0
      v0l = low | 0
      let turned = (v1l << 13) | (v1h >>> 19)
      v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h
      v1l = turned ^ v0l
      turned = v0l
      v0l = v0h
      v0h = turned
      low = (v2l >>> 0) + (v3l >>> 0)
      v2h = (v2h + v3h + (low > 0xffff_ffff ? 1 : 0)) | 0
      v2l = low | 0
      turned = (v3l << 16) | (v3h >>> 16)
      v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h
      v3l = turned ^ v2l
      low = (v0l >>> 0) + (v3l >>> 0)
      v0h = (v0h + v3h + (low > 0xffff_ffff ? 1 : 0)) | 0
      v0l = low | 0
      turned = (v3l << 21) | (v3h >>> 11)
      v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h
      v3l = turned ^ v0l
      low = (v2l >>> 0) + (v1l >>> 0)
      v2h = (v2h + v1h + (low > 0xffff_ffff ? 1 : 0)) | 0
      v2l = low | 0
      turned = (v1l << 17) | (v1h >>> 15)
      v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h
      v1l = turned ^ v2l
      turned = v2l
      v2l = v2h
      v2h = turned
    }
    v0l ^= ml
    v0h ^= mh
  }
  out[2] = v0l ^ v1l ^ v2l ^ v3l
  out[3] = v0h ^ v1h ^ v2h ^ v3h
}
