/** Confidence intervals of figures, by resampling the images they were measured on. */
import { randomStream } from '../random/random.js';

/** A 95 % confidence interval. */
export type Interval = readonly [low: number, high: number];

const confidence = 0.95;

/**
 * Returns the percentile interval of a figure, widened to contain the figure itself if few items differ (Efron and Tibshirani 1993, chapter 13). Items are drawn with
 * replacement, as many from each group as it has.
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
  const estimate = figure(groups);
  return [Math.min(estimate, at((1 - confidence) / 2)), Math.max(estimate, at((1 + confidence) / 2))];
}
