/** The batcher's time source; tests use their own. */
export interface Clock {
  /** Returns milliseconds since an arbitrary start. */
  now(): number;
  /** Calls back once after a delay. @returns a function that cancels it. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
