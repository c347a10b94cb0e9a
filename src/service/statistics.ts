/** What each version of a detector has done since the start, as the statistics extension of the Open Inference Protocol counts it. */

/** How often, and for how long together. */
export interface Duration {
  count: number;
  /** Nanoseconds. */
  ns: number;
}

export interface VersionStatistics {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since 1970; 0 before the first. */
  lastInference: number;
  /** Images that were scored. */
  inferences: number;
  /** Batches. */
  executions: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  readonly decode: Duration;
  readonly inference: Duration;
  /** Time in the runtime by the size of the batch. */
  readonly batches: Map<number, Duration>;
}

export class Statistics {
  readonly #versions = new Map<string, VersionStatistics>();

  /** Of all versions that were used. */
  all(): VersionStatistics[] {
    return [...this.#versions.values()];
  }

  of(name: string, version: string): VersionStatistics {
    const key = `${name}/${version}`;
    const known = this.#versions.get(key);
    if (known) return known;
    const none = (): Duration => ({ count: 0, ns: 0 });
    const fresh: VersionStatistics = {
      name,
      version,
      lastInference: 0,
      inferences: 0,
      executions: 0,
      success: none(),
      fail: none(),
      queue: none(),
      decode: none(),
      inference: none(),
      batches: new Map(),
    };
    this.#versions.set(key, fresh);
    return fresh;
  }

  /** A detector that is there no longer. */
  forget(name: string): void {
    for (const [key, known] of this.#versions) if (known.name === name) this.#versions.delete(key);
  }

  /** An image that was answered with a score, or could not be. */
  image(name: string, version: string, outcome: 'success' | 'fail', seconds: number): void {
    const statistics = this.of(name, version);
    add(statistics[outcome], seconds);
    if (outcome === 'fail') return;
    statistics.inferences++;
    statistics.lastInference = Date.now();
  }

  stage(name: string, version: string, stage: 'queue' | 'decode', seconds: number): void {
    add(this.of(name, version)[stage], seconds);
  }

  batch(name: string, version: string, size: number, seconds: number): void {
    const statistics = this.of(name, version);
    statistics.executions++;
    add(statistics.inference, seconds);
    const ofSize = statistics.batches.get(size) ?? { count: 0, ns: 0 };
    add(ofSize, seconds);
    statistics.batches.set(size, ofSize);
  }
}

function add(duration: Duration, seconds: number): void {
  duration.count++;
  duration.ns += Math.round(seconds * 1e9);
}
