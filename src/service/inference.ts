/**
 * The road from single images to the device: lanes of a batcher, one for each detector and kind of map, and one
 * table that says what its refusals mean to a client.
 */
import { Batcher, DroppedError, type LaneLimits, QueueFullError, systemClock } from '../batching/index.js';
import {
  type LoadedDetector,
  type LocalizationMethod,
  layerScorer,
  type RawScores,
  type ScoringEngine,
} from '../detector/index.js';
import { WorkerGoneError } from '../runtime/index.js';
import type { Metrics } from './metrics.js';
import { ProblemError } from './problems.js';
import type { Statistics } from './statistics.js';
import type { RequestTrace } from './tracing.js';

export type MapKind = LocalizationMethod | 'none';

/** One image on its way. */
interface Job {
  readonly detector: LoadedDetector;
  readonly map: MapKind;
  /** For the discrepancy map of this layer alone; the score has no meaning then. */
  readonly layer?: string | undefined;
  /** uint8 [inputSize, inputSize, 3] */
  readonly pixels: Uint8Array;
  /** Of its client, for what takes so long that it is worth stopping. */
  readonly patience: Patience;
}

/** What the device gave for one image: its place in the outputs of the batch it was in. */
export interface Inferred {
  readonly outputs: RawScores;
  readonly index: number;
  /** Of the batch, in the runtime. */
  readonly seconds: number;
  /** Images in the batch. */
  readonly batch: number;
}

export interface Waited extends Inferred {
  /** Between being handed in and the start of its batch. */
  readonly queueSeconds: number;
}

/** When an image is no longer worth working on. */
export interface Patience {
  readonly signal?: AbortSignal | undefined;
  /** Until when the client waits, by the system's clock. */
  readonly deadlineMs: number;
  /** How long it waits in all. */
  readonly timeoutMs: number;
  /** Of the request it is for. */
  readonly trace?: RequestTrace | undefined;
}

/** What a request says of how long its client waits. */
interface WaitingRequest {
  readonly gone: AbortSignal;
  readonly arrivedMs: number;
  readonly trace: RequestTrace | undefined;
  readonly headers: { readonly 'mkd-timeout-ms'?: number | undefined };
}

/** @param usualMs how long an image may take where the client says nothing. */
export function patienceOf({ headers, gone, arrivedMs, trace }: WaitingRequest, usualMs: number): Patience {
  const timeoutMs = headers['mkd-timeout-ms'] ?? usualMs;
  return { signal: gone, trace, timeoutMs, deadlineMs: arrivedMs + timeoutMs };
}

/** Aborted when the client goes away, or waits no longer. */
function endOf({ signal, deadlineMs }: Patience): AbortSignal {
  const late = AbortSignal.timeout(Math.max(0, Math.ceil(deadlineMs - systemClock.now())));
  return signal ? AbortSignal.any([signal, late]) : late;
}

export const defaultLaneLimits: LaneLimits = { maxBatchSize: 8, maxQueueDelayMs: 2, maxQueueLength: 64 };

/** How long an image may take where the client says nothing. */
export const defaultTimeoutMs = 30_000;

export class Inference {
  readonly #quick: Batcher<Job, Inferred>;
  /** SmoothGrad takes seconds an image, in parts: between them the device works on other lanes. */
  readonly #slow: Batcher<Job, Inferred>;

  constructor(
    private readonly engine: ScoringEngine,
    private readonly metrics: Metrics,
    private readonly statistics: Statistics,
    limits: LaneLimits,
  ) {
    const common = {
      clock: systemClock,
      concurrency: engine.concurrency,
      run: (lane: string, jobs: readonly Job[]) => this.#run(lane, jobs),
      onBatch: (_lane: string, size: number) => metrics.batchSize.observe(size),
    };
    this.#quick = new Batcher({ ...common, limits: () => limits });
    this.#slow = new Batcher({ ...common, limits: () => ({ ...limits, maxBatchSize: 1 }) });
  }

  /** Images that wait for the device. */
  get waiting(): number {
    return this.#quick.waiting + this.#slow.waiting;
  }

  /** Seconds until this many images are worked on, by the rate of late. */
  estimateSeconds(images: number): number {
    return Math.max(1, Math.ceil(this.#quick.estimateMs(images) / 1000));
  }

  /** @throws ProblemError when the lane is full, the client has gone, or its time is up. */
  async submit(detectorName: string, job: Omit<Job, 'patience'>, patience: Patience): Promise<Waited> {
    // Versions of a detector share no batch: their weights travel with it.
    const lane = `${detectorName}/${job.detector.version}/${job.map}/${job.layer ?? ''}`;
    const batcher = job.map === 'smoothgrad' ? this.#slow : this.#quick;
    try {
      const { result, queueMs } = await batcher.submit(lane, { ...job, patience }, patience);
      this.metrics.queueSeconds.observe(queueMs / 1000);
      return { ...result, queueSeconds: queueMs / 1000 };
    } catch (error) {
      throw this.explained(error, patience.timeoutMs);
    }
  }

  /** Drops what waits. */
  close(): void {
    this.#quick.close();
    this.#slow.close();
  }

  /** All jobs of a lane have one detector and one kind of map. */
  async #run(lane: string, jobs: readonly Job[]): Promise<Inferred[]> {
    const [{ detector, map, layer, patience }] = jobs as readonly [Job];
    const scorer = layer === undefined ? detector : layerScorer(detector, layer);
    const pixels = Buffer.concat(jobs.map((job) => job.pixels));
    // What takes seconds has its batches to itself.
    const stop = map === 'smoothgrad' ? endOf(patience) : undefined;
    const { outputs, seconds } = await this.engine.run(scorer, pixels, map, stop).catch((error: unknown) => {
      if (!stop?.aborted) throw error;
      throw new DroppedError(patience.signal?.aborted ? 'aborted' : 'deadline');
    });
    this.metrics.inferenceSeconds.observe({ map }, seconds);
    const [detectorName = ''] = lane.split('/');
    this.statistics.batch(detectorName, detector.version, jobs.length, seconds);
    return jobs.map((_, index) => ({ outputs, index, seconds, batch: jobs.length }));
  }

  /** What an error means to a client. */
  explained(error: unknown, timeoutMs: number): unknown {
    if (error instanceof QueueFullError) {
      const seconds = Math.max(1, Math.ceil(error.retryAfterMs / 1000));
      const detail = `${error.waiting} images wait for this detector already; try again in ${seconds} s`;
      return new ProblemError('overloaded', detail, seconds);
    }
    if (error instanceof WorkerGoneError) {
      const detail = 'the inference worker failed twice at this image and was replaced; try again';
      return new ProblemError('not-ready', detail, 1);
    }
    if (!(error instanceof DroppedError)) return error;
    switch (error.why) {
      case 'aborted':
        return new ProblemError('client-gone', 'the client went away before its image was scored');
      case 'deadline':
        return new ProblemError(
          'deadline-exceeded',
          `the image could not be scored within ${timeoutMs} ms; send fewer at once, or wait longer: by the header mkd-timeout-ms, or for all requests by --timeout-ms`,
          this.estimateSeconds(this.waiting),
        );
      case 'closed':
        return new ProblemError('not-ready', 'the service is stopping', 1);
    }
  }
}
