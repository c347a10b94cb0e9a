/**
 * The scale of a detector's maps: what maps of good images show. It is one for all places. A scale of its own for each
 * place makes plain background, where good images hardly differ, as loud as a defect: on pill the AUPRO falls from 0.96
 * to 0.86.
 */
import type { Scorer } from '../../detector/index.js';
import { countedValues, type LocalizationMap, type ScaledImage } from '../../imaging/index.js';
import { mapQuantile, quantile, type ScoringPipeline } from '../../scoring/index.js';

export interface MeasuredImage {
  readonly source: () => Promise<ScaledImage>;
  /** How much longer what is left of it would be if it had not been learned from. */
  readonly stretch: number;
}

export interface MapScale {
  readonly mean: number;
  readonly deviation: number;
  /** In deviations above the mean: 99.8 % of the pixels of good images stay below; at least 1. */
  readonly threshold: number;
}

/** Mean and deviation with which maps are what is left, plus 1: below 1 they are no longer on the scale. */
export const plainScale = [-1, 1] as const;

/**
 * Measures maps of good images, each as if it had not been learned from.
 * @param scorer with {@link plainScale}.
 */
export async function measureMapScale(
  pipeline: ScoringPipeline,
  scorer: Scorer,
  images: readonly MeasuredImage[],
  onProgress: (done: number, total: number) => void,
): Promise<MapScale> {
  const maps: Float32Array[] = [];
  for (const [index, { source, stretch }] of images.entries()) {
    onProgress(index, images.length);
    const image = await source();
    const { images: scored } = await pipeline.infer(scorer, [image], { map: 'discrepancy' });
    const map = scored[0]?.map as LocalizationMap;
    const values = countedValues(map, image.grid, scorer.input.region);
    maps.push(values.map((value) => (value - 1) * stretch));
  }
  onProgress(images.length, images.length);
  let [count, sum, squares] = [0, 0, 0];
  for (const map of maps) {
    count += map.length;
    for (const value of map) {
      sum += value;
      squares += value * value;
    }
  }
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(squares / count - mean * mean, 1e-12));
  const highest = quantile(maps, mapQuantile);
  return { mean, deviation, threshold: Math.max(1, (highest - mean) / deviation) };
}
