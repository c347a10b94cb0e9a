/** What limits the memory of images in progress. */
import type { Deadline } from './deadline.js';

/** Limits the memory of images in progress, in pixels. */
export interface MemoryLimit {
  reserve(deadline: Deadline): Reservation;
}

/** The pixels of one image. */
export interface Reservation {
  /** Waits until there is room. @throws ScoringError if the result is no longer needed before that. */
  take(pixels: number): Promise<void>;
  /** Releases all but this many pixels. */
  shrink(pixels: number): void;
  release(): void;
}

/** Does not limit it. */
export const unlimited: MemoryLimit = {
  reserve: () => ({ take: async () => {}, shrink: () => {}, release: () => {} }),
};
