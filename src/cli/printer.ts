// Many lines to a stream that may be slow: gathered into larger writes, and no more in memory than that.

import { once } from 'node:events'
import type { Writable } from 'node:stream'

const WRITE_FROM = 64 * 1024

export class Printer {
  private readonly stream: Writable
  private pending = ''

  constructor(stream: Writable) {
    this.stream = stream
  }

  async line(text: string): Promise<void> {
    this.pending += `${text}\n`
    if (this.pending.length >= WRITE_FROM) await this.flush()
  }

  async flush(): Promise<void> {
    const text = this.pending
    this.pending = ''
    if (text !== '' && !this.stream.write(text) && this.stream.writable) await once(this.stream, 'drain')
  }
}
