// The metadata image that clients are told: the newest one for which everything has been done that it asks of this broker.
// A topic shows up when its logs are there, so that nobody is sent to a partition that cannot be written yet.

import type { MetadataDelta, MetadataImage } from '../cluster/metadata-image.ts'

export class AppliedImage {
  private image: MetadataImage
  private work: Promise<void> = Promise.resolve()
  private readonly apply: (image: MetadataImage, delta: MetadataDelta) => Promise<void>
  private readonly failed: (error: unknown) => void

  constructor(
    image: MetadataImage,
    apply: (image: MetadataImage, delta: MetadataDelta) => Promise<void>,
    failed: (error: unknown) => void,
  ) {
    this.image = image
    this.apply = apply
    this.failed = failed
  }

  get current(): MetadataImage {
    return this.image
  }

  /** Takes images in their order; each is applied after the one before it. */
  next(image: MetadataImage, delta: MetadataDelta): void {
    this.work = this.work
      .then(() => this.apply(image, delta))
      .catch(this.failed)
      .then(() => {
        this.image = image
      })
  }

  /** Resolves when all that has been handed over so far is applied. */
  caughtUp(): Promise<void> {
    return this.work
  }
}
