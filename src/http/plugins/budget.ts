/**
 * A limit on what is in use at once: bytes of uploads, pixels of decoded images. An amount larger than the limit is
 * admitted alone, because the size of a single image is limited elsewhere.
 */

interface Waiting {
  readonly amount: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Budget {
  #used = 0;
  #queue: Waiting[] = [];

  constructor(readonly limit: number) {}

  get used(): number {
    return this.#used;
  }

  /** Takes an amount if there is room now. @returns whether it did. */
  tryTake(amount: number): boolean {
    if (!this.#fits(amount) || this.#queue.length > 0) return false;
    this.#used += amount;
    return true;
  }

  /**
   * Takes an amount once there is room, in the order of the calls.
   * @throws the signal's reason, if it is aborted before that.
   */
  async take(amount: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.tryTake(amount)) return;
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const waiting = { amount, resolve, reject };
        this.#queue.push(waiting);
        onAbort = () => {
          this.#queue = this.#queue.filter((other) => other !== waiting);
          reject(signal?.reason);
          this.#admit();
        };
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      if (onAbort) signal?.removeEventListener('abort', onAbort);
    }
  }

  release(amount: number): void {
    this.#used -= amount;
    this.#admit();
  }

  #fits(amount: number): boolean {
    return this.#used === 0 || this.#used + amount <= this.limit;
  }

  #admit(): void {
    for (let [first] = this.#queue; first && this.#fits(first.amount); [first] = this.#queue) {
      this.#queue.shift();
      this.#used += first.amount;
      first.resolve();
    }
  }
}
