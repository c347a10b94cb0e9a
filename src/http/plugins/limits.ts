/** Limits on images, upload bytes and decoded pixels in flight. Too many images or bytes get a 503; pixels wait. */
import {
  type Deadline,
  deadlineError,
  endOf,
  type MemoryLimit,
  type Reservation,
} from '../../scoring/index.js';
import { Budget } from './budget.js';
import { ProblemError } from './problems.js';

export interface AdmissionLimits {
  /** Images accepted and not yet answered. */
  readonly maxImagesInFlight: number;
  /** Bytes of requests that have been received and not yet answered. */
  readonly maxBytesInFlight: number;
  /** Pixels of images that are being decoded or scored; other images wait. */
  readonly maxPixelsInFlight: number;
}

export const defaultAdmissionLimits: AdmissionLimits = {
  maxImagesInFlight: 64,
  maxBytesInFlight: 256 * 2 ** 20,
  maxPixelsInFlight: 100_000_000,
};

/** The bytes of one request and its answer. */
export interface ByteReservation {
  /** @throws ProblemError `overloaded`; `too-many-bytes` if it can never fit. */
  add(count: number): void;
  release(): void;
}

export class Admission implements MemoryLimit {
  readonly #images: Budget;
  readonly #bytes: Budget;
  readonly #pixels: Budget;

  /** @param estimateSeconds how long a number of images will take, for Retry-After. */
  constructor(
    limits: AdmissionLimits,
    private readonly estimateSeconds: (images: number) => number,
  ) {
    this.#images = new Budget(limits.maxImagesInFlight);
    this.#bytes = new Budget(limits.maxBytesInFlight);
    this.#pixels = new Budget(limits.maxPixelsInFlight);
  }

  /** Whether no image is being processed. */
  get idle(): boolean {
    return this.#images.used === 0;
  }

  get used(): { readonly images: number; readonly bytes: number; readonly pixels: number } {
    return { images: this.#images.used, bytes: this.#bytes.used, pixels: this.#pixels.used };
  }

  /** Reserves images. @returns a function that releases them. @throws ProblemError `overloaded` */
  images(count: number): () => void {
    this.#take(this.#images, count, 'images');
    return () => this.#images.release(count);
  }

  /**
   * Refuses a request before its body is read, if none of its images could be accepted: under overload, refusals must
   * be cheap.
   * @throws ProblemError `overloaded`
   */
  refuseIfFull(): void {
    if (this.#images.used >= this.#images.limit) this.#take(this.#images, 1, 'images');
  }

  /** Counts the bytes of one request as they arrive: bytes that are only announced do not block others. */
  bytes(): ByteReservation {
    let [held, over] = [0, false];
    return {
      add: (count) => {
        // Bytes that arrive after the response are discarded.
        if (over) return;
        const { limit } = this.#bytes;
        if (held + count > limit) {
          throw new ProblemError('too-many-bytes', `the request has more than ${limit} bytes, the maximum`);
        }
        this.#take(this.#bytes, count, 'bytes');
        held += count;
      },
      release: () => {
        this.#bytes.release(held);
        [held, over] = [0, true];
      },
    };
  }

  /** Reserves room for the pixels of one image, from before it is decoded until it is scored. */
  reserve(deadline: Deadline): Reservation {
    let held = 0;
    const shrink = (pixels: number): void => {
      if (pixels >= held) return;
      this.#pixels.release(held - pixels);
      held = pixels;
    };
    return {
      take: async (pixels) => {
        if (!this.#pixels.tryTake(pixels)) await this.#waitForPixels(pixels, deadline);
        held = pixels;
      },
      shrink,
      release: () => shrink(0),
    };
  }

  async #waitForPixels(pixels: number, deadline: Deadline): Promise<void> {
    try {
      await this.#pixels.take(pixels, endOf(deadline));
    } catch {
      throw deadlineError(deadline, this.estimateSeconds(this.#images.used));
    }
  }

  #take(budget: Budget, amount: number, what: 'images' | 'bytes'): void {
    if (budget.tryTake(amount)) return;
    const seconds = this.estimateSeconds(this.#images.used);
    throw new ProblemError(
      'overloaded',
      `${budget.used} ${what} are being processed, the maximum is ${budget.limit}; try again in ${seconds} s`,
      seconds,
    );
  }
}
