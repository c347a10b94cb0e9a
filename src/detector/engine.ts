/**
 * Scoring images with any number of detectors on one device. Detectors of one shape share a session, which
 * holds the expert once; their weights travel with each run.
 */
import { normal, randomStream } from '../random/random.js';
import {
  concatenated,
  DevicePool,
  float32,
  float32Data,
  type PoolOptions,
  type Provider,
  type Runner,
  type RunResult,
  type Session,
  type SupervisionOptions,
  type Tensor,
  type Tensors,
  uint8,
} from '../runtime/index.js';
import { asConstants, DedicatedSessions } from './dedicated-sessions.js';
import type { LoadedDetector, Scorer } from './loaded-detector.js';
import { type LocalizationMethod, type ServingShape, servingModel } from './serving-model.js';

/** Scores as they leave the graph: `score` and `peak` [N], `value`, `direction` and `neighbor` [N, L], `map` [N, H, W]. */
export interface RawScores {
  readonly score: Float32Array;
  readonly value: Float32Array;
  readonly direction: Float32Array;
  /** Where the nearest good image counts. */
  readonly neighbor?: Float32Array;
  /** Largest entry of the discrepancy map, where positions are compared. */
  readonly peak?: Float32Array;
  readonly map?: Float32Array;
}

export interface EngineResult {
  readonly outputs: RawScores;
  /** Time in the runtime. */
  readonly seconds: number;
}

export interface EngineOptions extends PoolOptions {
  /** Detectors that may have a session of their own; default none. See {@link DedicatedSessions}. */
  readonly dedicatedSessions?: number;
  /**
   * Images that a run may have, ascending; one of fewer is filled up with blank ones. By default any number on the CPU,
   * and 1, 8 or 16 on CUDA: each has a session of its own there (runtime/shape-sessions.ts), and 8 images take little
   * more time than one.
   */
  readonly batchSizes?: readonly number[];
}

/** SmoothGrad as in the paper: 50 copies, noise of deviation 0.05 of the value range. */
export const smoothGrad = { copies: 50, deviation: 0.05, copiesAtOnce: 5, seed: 0 } as const;

/** Images in one run: more gain little and need memory. */
const largestBatch = 16;

export class ScoringEngine {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #warm = new Set<string>();
  readonly #dedicated: DedicatedSessions;
  readonly #batchSizes: readonly number[];

  private constructor(
    private readonly device: Runner,
    { dedicatedSessions = 0, batchSizes }: Pick<EngineOptions, 'dedicatedSessions' | 'batchSizes'> = {},
  ) {
    this.#batchSizes = batchSizes ?? (device.provider === 'cuda' ? [1, 8, largestBatch] : []);
    this.#dedicated = new DedicatedSessions(dedicatedSessions, ({ shape, feeds }) =>
      device.session(servingModel({ ...shape, map: sharedMap(shape, 'none'), bound: asConstants(feeds) })),
    );
  }

  /**
   * An engine on workers of its own, each of which is replaced when it fails.
   * @throws RuntimeError when the provider asked for is not to be had.
   */
  static async open(
    options: EngineOptions = {},
    supervision: SupervisionOptions = {},
  ): Promise<ScoringEngine> {
    return new ScoringEngine(await DevicePool.open(options, supervision), options);
  }

  /** An engine on a device that others use too, and close. */
  static on(device: Runner): ScoringEngine {
    return new ScoringEngine(device);
  }

  /** The provider in use. */
  get provider(): Provider {
    return this.device.provider;
  }

  /** Why the provider is not the better one, if so. */
  get note(): string | undefined {
    return this.device.note;
  }

  /** Whether there is a worker that runs. */
  get alive(): boolean {
    return this.device.alive;
  }

  /**
   * Scores images.
   * @param images uint8 [N, inputSize, inputSize, 3], N at least 1.
   * @param map the localization method, or `none` for scores without the cost of a gradient.
   * @param signal ends what takes seconds, SmoothGrad.
   * @throws the signal's reason.
   */
  async run(
    detector: Scorer,
    images: Uint8Array,
    map: LocalizationMethod | 'none',
    signal?: AbortSignal,
  ): Promise<EngineResult> {
    const imageBytes = detector.shape.inputSize ** 2 * 3;
    const parts: EngineResult[] = [];
    for (let from = 0; from < images.length; from += imageBytes * largestBatch) {
      const part = images.subarray(from, from + imageBytes * largestBatch);
      parts.push(
        map === 'smoothgrad'
          ? await this.#runSmoothGrad(detector, part, imageBytes, signal)
          : await this.#runOnce(detector, part, part.length / imageBytes, map),
      );
    }
    return joined(parts);
  }

  /** Runs that go on at once. */
  get concurrency(): number {
    return this.device instanceof DevicePool ? this.device.size : 1;
  }

  /** Puts another worker in the place of one; what is under way is tried again there. */
  async replaceWorker(): Promise<void> {
    if (this.device instanceof DevicePool) await this.device.replace();
  }

  /** Makes the sessions a detector needs, unless another of its shape has them, so that no request waits for them. */
  async warmUp(detector: LoadedDetector): Promise<void> {
    await this.#dedicated.claimFirst(detector);
    const { inputSize } = detector.shape;
    const session = this.#dedicated.has(detector) ? detector.version : 'shared';
    const key = JSON.stringify([detector.shape, detector.manifest.localization, session]);
    if (this.#warm.has(key)) return;
    for (const count of this.#batchSizes.length > 0 ? this.#batchSizes : [1]) {
      const images = new Uint8Array(count * inputSize * inputSize * 3);
      await this.run(detector, images, 'none');
      await this.run(detector, images, detector.manifest.localization);
    }
    this.#warm.add(key);
  }

  /** Frees what is held for this detector alone, which is no more. */
  async release(detector: Scorer): Promise<void> {
    await this.#dedicated.release(detector);
  }

  /** Ends the device. */
  async close(): Promise<void> {
    await this.device.close();
  }

  /** Frees what the sessions hold; they are made again when needed. */
  async closeSessions(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    this.#warm.clear();
    await this.#dedicated.close();
    for (const session of sessions) await (await session).close();
  }

  async #runOnce(
    detector: Scorer,
    images: Uint8Array,
    count: number,
    map: Exclude<LocalizationMethod, 'smoothgrad'> | 'none',
  ): Promise<EngineResult> {
    const { inputSize } = detector.shape;
    const batch = this.#batchSizes.find((size) => size >= count) ?? count;
    const image = uint8([batch, inputSize, inputSize, 3], filledUp(images, batch * inputSize ** 2 * 3));
    // What differs from the detector's own inputs cannot be a constant.
    const fitting =
      !detector.overrides && sharedMap(detector.shape, map) === sharedMap(detector.shape, 'none');
    const dedicated = fitting ? await this.#dedicated.run(detector, count, { image }) : undefined;
    const { outputs, seconds } = dedicated ?? (await this.#runShared(detector, image, map));
    const scores: RawScores = { ...scoresOf(outputs), ...(map === 'none' ? {} : mapOf(outputs)) };
    return { outputs: batch === count ? scores : firstRows(scores, batch, count), seconds };
  }

  async #runShared(
    { shape, feeds, overrides }: Scorer,
    image: Tensor,
    map: LocalizationMethod | 'none',
  ): Promise<RunResult> {
    const session = await this.#session(shape, map);
    return session.run({ image, ...overrides }, feeds);
  }

  /** One image after another, each with its noisy copies in parts that fit into memory. */
  async #runSmoothGrad(
    detector: Scorer,
    images: Uint8Array,
    imageBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<EngineResult> {
    const { inputSize } = detector.shape;
    const plane = inputSize * inputSize;
    const session = await this.#session(detector.shape, 'smoothgrad');
    const { outputs, seconds: scoring } = await this.#runOnce(
      detector,
      images,
      images.length / imageBytes,
      'none',
    );
    const map = new Float32Array((images.length / imageBytes) * plane);
    let seconds = scoring;
    for (let row = 0; row * imageBytes < images.length; row++) {
      const image = uint8(
        [1, inputSize, inputSize, 3],
        images.slice(row * imageBytes, (row + 1) * imageBytes),
      );
      let sum = float32([1, 3, inputSize, inputSize], new Float32Array(3 * plane));
      for (let copy = 0; copy < smoothGrad.copies; copy += smoothGrad.copiesAtOnce) {
        signal?.throwIfAborted();
        const result = await session.run(
          {
            image,
            noise: float32(
              [smoothGrad.copiesAtOnce, 3, inputSize, inputSize],
              gaussianNoise(smoothGrad.copiesAtOnce * 3 * plane, copy),
            ),
            gradient_sum: sum,
            copies: float32([], [smoothGrad.copies]),
          },
          detector.feeds,
        );
        seconds += result.seconds;
        sum = float32(sum.dims, float32Data(result.outputs, 'gradient_sum.next'));
        map.set(float32Data(result.outputs, 'map'), row * plane);
      }
    }
    return { outputs: { ...outputs, map }, seconds };
  }

  #session(shape: ServingShape, wanted: LocalizationMethod | 'none'): Promise<Session> {
    const map = sharedMap(shape, wanted);
    const key = JSON.stringify([shape, map]);
    const known = this.#sessions.get(key);
    if (known) return known;
    const opening = this.device.session(servingModel({ ...shape, map }));
    this.#sessions.set(key, opening);
    opening.catch(() => this.#sessions.delete(key));
    return opening;
  }
}

/** Where positions are compared the map comes with the score; one session, and one expert in memory, for both. */
function sharedMap(
  { positions }: ServingShape,
  wanted: LocalizationMethod | 'none',
): LocalizationMethod | 'none' {
  return wanted === 'none' && positions ? 'discrepancy' : wanted;
}

/** The bytes, followed by zeros up to this length. */
function filledUp(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length === length) return bytes;
  const longer = new Uint8Array(length);
  longer.set(bytes);
  return longer;
}

/** Of scores of so many images those of the first. */
function firstRows(scores: RawScores, images: number, count: number): RawScores {
  return withEntries(scores, (name) => {
    const entries = scores[name] as Float32Array;
    return entries.slice(0, (entries.length / images) * count);
  });
}

/** Scores of the same names as these. */
function withEntries(scores: RawScores, entries: (name: keyof RawScores) => Float32Array): RawScores {
  const names = Object.keys(scores) as (keyof RawScores)[];
  return Object.fromEntries(names.map((name) => [name, entries(name)])) as unknown as RawScores;
}

function scoresOf(outputs: Tensors): RawScores {
  return {
    score: float32Data(outputs, 'score'),
    value: float32Data(outputs, 'value'),
    direction: float32Data(outputs, 'direction'),
    ...(outputs.neighbor ? { neighbor: float32Data(outputs, 'neighbor') } : {}),
    ...(outputs.peak ? { peak: float32Data(outputs, 'peak') } : {}),
  };
}

function mapOf(outputs: Tensors): { map: Float32Array } {
  return { map: float32Data(outputs, 'map') };
}

function joined(parts: readonly EngineResult[]): EngineResult {
  const [first] = parts;
  if (!first) throw new RangeError('no images to score');
  if (parts.length === 1) return first;
  return {
    outputs: withEntries(first.outputs, (name) =>
      concatenated(parts.map(({ outputs }) => outputs[name] ?? new Float32Array())),
    ),
    seconds: parts.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

const noiseParts = new Map<string, Float32Array>();

/** The same noise for every image, so that maps of one image are always the same. */
function gaussianNoise(length: number, part: number): Float32Array {
  const key = `${length}/${part}`;
  let noise = noiseParts.get(key);
  if (!noise) {
    const random = randomStream(smoothGrad.seed, `smoothgrad/${part}`);
    noise = Float32Array.from({ length }, () => smoothGrad.deviation * normal(random));
    noiseParts.set(key, noise);
  }
  return noise;
}
