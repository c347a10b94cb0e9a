/** How far a figure depends on the images it was measured on: intervals by resampling them. */
import { randomStream } from '../random/random.js';

/** A range that holds the figure in 95 of 100 cases. */
export type Interval = readonly [low: number, high: number];

const confidence = 0.95;

/**
 * Percentile interval of a figure (Efron and Tibshirani 1993, chapter 13). Images are drawn with replacement,
 * good and defective ones each as many as there are.
 * @param seed determines the draws.
 */
export function bootstrapInterval<Item>(
  groups: readonly (readonly Item[])[],
  figure: (groups: readonly (readonly Item[])[]) => number,
  { resamples, seed }: { readonly resamples: number; readonly seed: number },
): Interval {
  const random = randomStream(seed, 'bootstrap');
  const figures = Float64Array.from({ length: resamples }, () =>
    figure(groups.map((group) => group.map(() => group[Math.floor(random() * group.length)] as Item))),
  ).sort();
  const at = (share: number): number => figures[Math.round(share * (resamples - 1))] as number;
  return [at((1 - confidence) / 2), at((1 + confidence) / 2)];
}
