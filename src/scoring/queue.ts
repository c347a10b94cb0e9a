/** Batches tiles of many requests: a batcher with one lane for each detector and kind of map. */
import { Batcher, BatchSizes, DroppedError, QueueFullError, systemClock } from '../batching/index.js';
import { WorkerGoneError } from '../runtime/index.js';
import { endOf } from './deadline.js';
import type { ScoringEngine } from './engine.js';
import { deadlineError, ScoringError } from './errors.js';
import type { Inference, InferenceTimings, TileJob, TileListener } from './inference.js';
import type { RawScores } from './raw-scores.js';

export interface QueueLimits {
  /** How long a tile may wait for others while the device is idle. */
  readonly maxQueueDelayMs: number;
  /** Tiles that may wait in a lane; more are refused. */
  readonly maxQueueLength: number;
}

export const defaultQueueLimits: QueueLimits = { maxQueueDelayMs: 2, maxQueueLength: 64 };

/** A queued tile. */
interface QueuedTile extends Pick<TileJob, 'scorer' | 'map' | 'deadline' | 'onBatch'> {
  /** uint8 [inputSize, inputSize, 3] */
  readonly pixels: Uint8Array;
}

/** Row `index` of the outputs of a batch. */
interface TileResult {
  readonly outputs: RawScores;
  readonly index: number;
  /** Of the batch, in the runtime. */
  readonly seconds: number;
  /** Tiles in the batch. */
  readonly batch: number;
}

/** Tiles of one image that wait or run at a time: a large image must not fill the queue or delay others. */
const tilesAtOnce = 16;

export class InferenceQueue implements Inference {
  readonly #quick: Batcher<QueuedTile, TileResult>;
  /** SmoothGrad takes seconds per image, in parts: between two parts the device works on other lanes. */
  readonly #slow: Batcher<QueuedTile, TileResult>;

  constructor(
    private readonly engine: ScoringEngine,
    limits: QueueLimits,
  ) {
    const common = {
      clock: systemClock,
      concurrency: engine.concurrency,
      run: (_lane: string, tiles: readonly QueuedTile[]) => this.#run(tiles),
    };
    this.#quick = new Batcher({ ...common, limits: () => ({ ...limits, sizes: engine.batchSizes }) });
    this.#slow = new Batcher({ ...common, limits: () => ({ ...limits, sizes: BatchSizes.any(1) }) });
  }

  /** Tiles that wait for the device. */
  get waiting(): number {
    return this.#quick.waiting + this.#slow.waiting;
  }

  /** Estimates the seconds until this many images are done, from the recent rate. */
  estimateSeconds(images: number): number {
    return Math.max(1, Math.ceil(this.#quick.estimateMs(images) / 1000));
  }

  async run(job: TileJob, onTile: TileListener): Promise<InferenceTimings> {
    const { tiles } = job;
    let [next, queueSeconds, runtimeSeconds] = [0, 0, 0];
    const work = async (): Promise<void> => {
      while (next < tiles) {
        const tile = next++;
        const { result, queueMs } = await this.#submit(job, tile);
        onTile(tile, result.outputs, result.index);
        queueSeconds = Math.max(queueSeconds, queueMs / 1000);
        // A tile counts its share of its batch; an image of one tile waited for the whole batch.
        runtimeSeconds += result.seconds / (tiles > 1 ? result.batch : 1);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(tiles, tilesAtOnce) }, work));
    } finally {
      // If one tile fails, the others are not started.
      next = tiles;
    }
    return { queueSeconds, runtimeSeconds };
  }

  /** Drops waiting tiles. */
  close(): void {
    this.#quick.close();
    this.#slow.close();
  }

  async #submit({ lane, pixels, ...job }: TileJob, tile: number) {
    const { deadline, map } = job;
    const batcher = map === 'smoothgrad' ? this.#slow : this.#quick;
    try {
      return await batcher.submit(
        lane,
        { ...job, pixels: pixels(tile) },
        { signal: deadline.signal, deadlineMs: deadline.atMs },
      );
    } catch (error) {
      throw this.#refusal(error, job);
    }
  }

  /** All tiles of a lane have one scorer and one kind of map. */
  async #run(tiles: readonly QueuedTile[]): Promise<TileResult[]> {
    const [{ scorer, map, deadline, onBatch }] = tiles as readonly [QueuedTile];
    const pixels = tiles.map((tile) => tile.pixels);
    // SmoothGrad does not share batches, and ends with its request.
    const end = map === 'smoothgrad' ? endOf(deadline) : undefined;
    onBatch.began(tiles.length);
    const { outputs, seconds } = await this.engine.run(scorer, pixels, map, end).catch((error: unknown) => {
      throw end?.aborted ? new DroppedError(deadline.signal?.aborted ? 'aborted' : 'deadline') : error;
    });
    onBatch.ended(tiles.length, seconds);
    return tiles.map((_, index) => ({ outputs, index, seconds, batch: tiles.length }));
  }

  #refusal(error: unknown, { deadline }: Pick<TileJob, 'deadline'>): unknown {
    if (error instanceof QueueFullError) {
      const seconds = Math.max(1, Math.ceil(error.retryAfterMs / 1000));
      const message = `${error.waiting} images already wait for this detector; try again in ${seconds} s`;
      return new ScoringError('queue-full', message, seconds);
    }
    if (error instanceof WorkerGoneError) {
      const message = 'the inference worker failed twice on this image and was replaced; try again';
      return new ScoringError('worker-lost', message, 1);
    }
    if (!(error instanceof DroppedError)) return error;
    if (error.reason === 'closed') return new ScoringError('stopping', 'the service is stopping', 1);
    return deadlineError(deadline, this.estimateSeconds(this.waiting));
  }
}
