/**
 * SmoothGrad (Smilkov et al. 2017; MKD, section 3.3): the mean gradient over noisy copies of an image. Copies go through
 * the graph in parts that fit into memory; between two parts the device can do other work.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { PictureSize } from '../imaging/index.js';
import { tensorNames } from '../networks/index.js';
import { normal, randomStream } from '../random/random.js';
import { float32, float32Data, type RunResult, type Tensors, uint8 } from '../runtime/index.js';

const { inputs, nextStateName, outputs: names } = tensorNames;

/** As in the paper: 50 copies, noise of deviation 0.05 of the value range. */
export const smoothGrad = { copies: 50, deviation: 0.05, copiesAtOnce: 5, seed: 0 } as const;

export interface SmoothGradResult {
  /** float32 [N, height, width] */
  readonly map: Float32Array;
  /** Time in the runtime. */
  readonly seconds: number;
}

/**
 * Computes the maps of images, one after another.
 * @param images uint8 [N, height, width, 3]
 * @param run runs the graph on further inputs.
 * @throws the signal's reason, between two parts.
 */
export async function smoothGradMaps(
  images: Uint8Array,
  { width, height }: PictureSize,
  run: (feeds: Tensors) => Promise<RunResult>,
  signal: AbortSignal | undefined,
): Promise<SmoothGradResult> {
  const plane = width * height;
  const count = images.length / (3 * plane);
  const map = new Float32Array(count * plane);
  let seconds = 0;
  for (let row = 0; row < count; row++) {
    const image = uint8([1, height, width, 3], images.slice(row * 3 * plane, (row + 1) * 3 * plane));
    let sum = float32([1, 3, height, width], new Float32Array(3 * plane));
    for (let copy = 0; copy < smoothGrad.copies; copy += smoothGrad.copiesAtOnce) {
      signal?.throwIfAborted();
      const noise = await gaussianNoise(smoothGrad.copiesAtOnce * 3 * plane, copy);
      const result = await run({
        [inputs.image]: image,
        [inputs.noise]: float32([smoothGrad.copiesAtOnce, 3, height, width], noise),
        [inputs.gradientSum]: sum,
        [inputs.copies]: float32([], [smoothGrad.copies]),
      });
      seconds += result.seconds;
      sum = float32(sum.dims, float32Data(result.outputs, nextStateName(inputs.gradientSum)));
      map.set(float32Data(result.outputs, names.map), row * plane);
    }
  }
  return { map, seconds };
}

/** Cached noise, because every image uses the same; limited in bytes. */
const keptNoise = new LRUCache<string, Float32Array>({
  maxSize: 64 * 2 ** 20,
  sizeCalculation: (noise) => noise.byteLength,
});

/** Random numbers between two yields to the event loop: a few milliseconds. */
const numbersPerTurn = 50_000;

/** Returns the same noise for every image, so that the map of an image is always the same. */
async function gaussianNoise(length: number, part: number): Promise<Float32Array> {
  const key = `${length}/${part}`;
  const kept = keptNoise.get(key);
  if (kept) return kept;
  const random = randomStream(smoothGrad.seed, `smoothgrad/${part}`);
  const noise = new Float32Array(length);
  for (let at = 0; at < length; at++) {
    noise[at] = smoothGrad.deviation * normal(random);
    if (at % numbersPerTurn === numbersPerTurn - 1) await nextTurn();
  }
  keptNoise.set(key, noise);
  return noise;
}
