/** Statistics of each detector version since the start, as in the Open Inference Protocol's statistics extension. */
import type { ScoringObserver, StageEnded } from '../scoring/index.js';

/** Number of events and their total time. */
export interface Duration {
  readonly count: number;
  /** Nanoseconds. */
  readonly ns: number;
}

export interface VersionStatistics {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since 1970; 0 before the first image. */
  readonly lastInference: number;
  /** Images scored. */
  readonly inferences: number;
  /** Batches. */
  readonly executions: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  readonly decode: Duration;
  readonly inference: Duration;
  /** Time in the runtime, by the size of the batch. */
  readonly batches: ReadonlyMap<number, Duration>;
}

type Mutable = { -readonly [Key in keyof VersionStatistics]: VersionStatistics[Key] } & {
  batches: Map<number, Duration>;
};

const none: Duration = { count: 0, ns: 0 };

export class Statistics implements ScoringObserver {
  readonly #versions = new Map<string, Mutable>();

  /** Returns the statistics of all versions that were used. */
  all(): VersionStatistics[] {
    return [...this.#versions.values()];
  }

  /** Returns the statistics of one version; zeros if it was not used. */
  of(name: string, version: string): VersionStatistics {
    return this.#versions.get(keyOf(name, version)) ?? empty(name, version);
  }

  /** Removes a detector that no longer exists. */
  forget(name: string): void {
    for (const [key, known] of this.#versions) if (known.name === name) this.#versions.delete(key);
  }

  ended(stage: StageEnded): void {
    const { name, detector } = 'image' in stage ? stage.image : stage;
    const key = keyOf(name, detector.version);
    const known = this.#versions.get(key) ?? empty(name, detector.version);
    if (count(known, stage)) this.#versions.set(key, known);
  }
}

/** Counts a stage. @returns whether it counts. */
function count(statistics: Mutable, stage: StageEnded): boolean {
  switch (stage.stage) {
    case 'image':
      if ('error' in stage.outcome) {
        statistics.fail = plus(statistics.fail, stage.seconds);
        return true;
      }
      statistics.success = plus(statistics.success, stage.seconds);
      statistics.inferences++;
      statistics.lastInference = Date.now();
      return true;
    case 'decode':
      if (stage.image.purpose !== 'score') return false;
      statistics.decode = plus(statistics.decode, stage.seconds);
      return true;
    case 'inference':
      if (stage.image.purpose !== 'score') return false;
      statistics.queue = plus(statistics.queue, stage.queueSeconds);
      return true;
    case 'batch': {
      const { images, seconds } = stage;
      statistics.executions++;
      statistics.inference = plus(statistics.inference, seconds);
      statistics.batches.set(images, plus(statistics.batches.get(images) ?? none, seconds));
      return true;
    }
    case 'render':
      return false;
  }
}

function empty(name: string, version: string): Mutable {
  return {
    name,
    version,
    lastInference: 0,
    inferences: 0,
    executions: 0,
    success: none,
    fail: none,
    queue: none,
    decode: none,
    inference: none,
    batches: new Map(),
  };
}

function plus({ count: before, ns }: Duration, seconds: number): Duration {
  return { count: before + 1, ns: ns + Math.round(seconds * 1e9) };
}

function keyOf(name: string, version: string): string {
  return `${name}/${version}`;
}
