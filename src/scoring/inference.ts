/** What the pipeline needs from the part that runs the graph: tiles in, scores out. */
import type { Scorer } from '../detector/index.js';
import type { Deadline } from './deadline.js';
import type { MapKind, ScoringEngine } from './engine.js';
import type { RawScores } from './raw-scores.js';

/** Tiles that go through the graph, alone or in batches with others. */
export interface TileJob {
  readonly scorer: Scorer;
  readonly map: MapKind;
  /** What may share a batch: the detector's name and version, the map, the layer. */
  readonly lane: string;
  readonly tiles: number;
  /** Returns the pixels of a tile, uint8 [inputSize, inputSize, 3]. */
  readonly pixels: (tile: number) => Uint8Array;
  readonly deadline: Deadline;
  /** Called when a batch begins, and when it ends with its seconds in the graph. */
  readonly onBatch: BatchListener;
}

export interface BatchListener {
  began(images: number): void;
  ended(images: number, seconds: number): void;
}

/** Receives a tile's scores: row `index` of `outputs`. */
export type TileListener = (tile: number, outputs: RawScores, index: number) => void;

export interface InferenceTimings {
  /** Longest wait of a tile for its batch. */
  readonly queueSeconds: number;
  /** Time in the runtime: for a single tile that of its batch; for several, their shares of their batches. */
  readonly runtimeSeconds: number;
}

export interface Inference {
  /** @throws ScoringError if there is too much work, or the result is no longer needed. */
  run(job: TileJob, onTile: TileListener): Promise<InferenceTimings>;
}

/** Runs the tiles of a job on their own, in order: results do not depend on other jobs. */
export class DirectInference implements Inference {
  constructor(private readonly engine: ScoringEngine) {}

  async run(
    { scorer, map, tiles, pixels, onBatch, deadline }: TileJob,
    onTile: TileListener,
  ): Promise<InferenceTimings> {
    let first = 0;
    let runtimeSeconds = 0;
    for (const size of this.engine.batchSizes.batches(tiles)) {
      const batch = Array.from({ length: size }, (_, at) => pixels(first + at));
      onBatch.began(size);
      const { outputs, seconds } = await this.engine.run(scorer, batch, map, deadline.signal);
      onBatch.ended(size, seconds);
      for (let at = 0; at < size; at++) onTile(first + at, outputs, at);
      first += size;
      runtimeSeconds += seconds;
    }
    return { queueSeconds: 0, runtimeSeconds };
  }
}
