/**
 * Which detectors have series of their own in the metrics. With a thousand detectors a scrape would be 52,000 lines, so
 * only those used lately have; all others are counted together. A detector keeps its place as long as it is used: series
 * that move to and fro could not be read.
 */

/** Label of all detectors without series of their own; no detector can have this name. */
export const otherDetectors = '_other';

/** How long a detector must have been idle before another may take its place. */
const idleMs = 15 * 60_000;

export class LabeledDetectors {
  /** When each was used last; the one that was used longest ago comes first. */
  readonly #used = new Map<string, number>();

  /**
   * @param most number of detectors with series of their own.
   * @param onReplaced called with the name of a detector that has lost its place.
   */
  constructor(
    private readonly most: number,
    private readonly onReplaced: (name: string) => void,
    private readonly now: () => number = Date.now,
  ) {}

  /** Returns the label for something that a detector has just done. */
  use(name: string): string {
    if (!this.#used.delete(name) && !this.#makeRoom()) return otherDetectors;
    this.#used.set(name, this.now());
    return name;
  }

  has(name: string): boolean {
    return this.#used.has(name);
  }

  /** Removes a detector that no longer exists. */
  forget(name: string): void {
    this.#used.delete(name);
  }

  #makeRoom(): boolean {
    if (this.#used.size < this.most) return true;
    const [oldest] = this.#used;
    if (!oldest || this.now() - oldest[1] < idleMs) return false;
    this.#used.delete(oldest[0]);
    this.onReplaced(oldest[0]);
    return true;
  }
}
