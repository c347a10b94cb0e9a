/** What is taken in at once: images, bytes of uploads, pixels of decoded images. What is too much is answered 503. */
import { DroppedError, systemClock } from '../batching/index.js';
import { Budget } from './budget.js';
import type { Patience } from './inference.js';
import type { Metrics } from './metrics.js';
import { ProblemError } from './problems.js';

export interface AdmissionLimits {
  /** Images taken and not yet answered. */
  readonly maxImagesInFlight: number;
  /** Bytes of requests that have been received and not yet answered. */
  readonly maxBytesInFlight: number;
  /** Pixels of images that are being decoded or scored; others wait for their turn. */
  readonly maxPixelsInFlight: number;
}

export const defaultAdmissionLimits: AdmissionLimits = {
  maxImagesInFlight: 64,
  maxBytesInFlight: 256 * 2 ** 20,
  maxPixelsInFlight: 100_000_000,
};

/** The bytes of one request and its answer. */
export interface ByteHold {
  /** @throws ProblemError `overloaded`; `too-many-bytes` where there never is room for it. */
  add(count: number): void;
  release(): void;
}

export class Admission {
  readonly #images: Budget;
  readonly #bytes: Budget;
  readonly #pixels: Budget;

  /** @param estimateSeconds how long so many images will take, for whoever is turned away. */
  constructor(
    limits: AdmissionLimits,
    private readonly metrics: Metrics,
    private readonly estimateSeconds: (images: number) => number,
  ) {
    this.#images = new Budget(limits.maxImagesInFlight);
    this.#bytes = new Budget(limits.maxBytesInFlight);
    this.#pixels = new Budget(limits.maxPixelsInFlight);
  }

  /** Whether no image is being worked on. */
  get idle(): boolean {
    return this.#images.used === 0;
  }

  /** @returns what gives them back. @throws ProblemError `overloaded` */
  images(count: number): () => void {
    this.#take(this.#images, count, 'images');
    return () => {
      this.#images.give(count);
      this.#show();
    };
  }

  /**
   * Turns a request away before its body is read, when no image of it could be taken anyway: under overload refusals
   * have to be cheap.
   * @throws ProblemError `overloaded`
   */
  refuseIfFull(): void {
    if (this.#images.used >= this.#images.most) this.#take(this.#images, 1, 'images');
  }

  /** The bytes of one request, counted as they come: what a client only announces keeps nobody else out. */
  bytes(): ByteHold {
    let [held, over] = [0, false];
    return {
      add: (count) => {
        // What still comes in after the answer is thrown away.
        if (over) return;
        const { most } = this.#bytes;
        if (held + count > most) {
          throw new ProblemError(
            'too-many-bytes',
            `the request has more than ${most} bytes, the most that is taken`,
          );
        }
        this.#take(this.#bytes, count, 'bytes');
        held += count;
      },
      release: () => {
        this.#bytes.give(held);
        [held, over] = [0, true];
        this.#show();
      },
    };
  }

  /** Room for one image, from before it is decoded until it is scored. */
  pixels(patience: Patience): PixelHold {
    return new PixelHold(this.#pixels, patience, () => this.#show());
  }

  #take(budget: Budget, amount: number, what: 'images' | 'bytes'): void {
    if (budget.tryTake(amount)) {
      this.#show();
      return;
    }
    const seconds = this.estimateSeconds(this.#images.used);
    throw new ProblemError(
      'overloaded',
      `${budget.used} ${what} are being worked on, at most ${budget.most} are taken; try again in ${seconds} s`,
      seconds,
    );
  }

  #show(): void {
    this.metrics.imagesInFlight.set(this.#images.used);
    this.metrics.bytesInFlight.set(this.#bytes.used);
    this.metrics.pixelsInFlight.set(this.#pixels.used);
  }
}

/** The pixels of one image. */
export class PixelHold {
  #held = 0;
  #waitedMs = 0;

  constructor(
    private readonly budget: Budget,
    private readonly patience: Patience,
    private readonly onChange: () => void,
  ) {}

  /** How long there was no room. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** @throws DroppedError when the client has gone, or its time is up, before there is room. */
  async take(pixels: number): Promise<void> {
    if (!this.budget.tryTake(pixels)) await this.#wait(pixels);
    this.#held = pixels;
    this.onChange();
  }

  /** Once the image is decoded and scaled, only so many are left. */
  shrink(pixels: number): void {
    if (pixels >= this.#held) return;
    this.budget.give(this.#held - pixels);
    this.#held = pixels;
    this.onChange();
  }

  release(): void {
    this.shrink(0);
  }

  async #wait(pixels: number): Promise<void> {
    const { signal, deadlineMs } = this.patience;
    const late = AbortSignal.timeout(Math.max(0, Math.ceil(deadlineMs - systemClock.now())));
    const began = performance.now();
    try {
      await this.budget.take(pixels, signal ? AbortSignal.any([signal, late]) : late);
    } catch {
      throw new DroppedError(late.aborted ? 'deadline' : 'aborted');
    } finally {
      this.#waitedMs = performance.now() - began;
    }
  }
}
