/** Time as the batcher sees it; tests bring a clock of their own. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls back once after a while. @returns what cancels it. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
