/** The terms of a linear cloner on one scale, and good images that the others do not explain. */
import { type LinearCloner, type Terms, termNames } from '../../detector/index.js';
import { shortest } from '../../files/decimals.js';
import { spanName } from '../../networks/index.js';
import { smallestResidual } from '../../objective/index.js';
import { type FittedSpan, robustScale } from './span-fit.js';
import type { FittedWindows } from './window-fit.js';

/** How much the windows count, where each span counts once. */
const windowShare = 2;

export interface ScaledTerms {
  readonly terms: Terms;
  /** Of each good image, by others only. */
  readonly scores: number[];
  /** Direction discrepancies of each term, ascending. */
  readonly directions: Record<string, number[]>;
}

/**
 * Puts the terms on one scale: medians and upper deviations over good images or tiles, each scored by others only.
 * @param imageOf the image that each row shows; an image is as anomalous as its most anomalous tile.
 */
export function termsOf(
  cloner: LinearCloner,
  fits: ReadonlyMap<string, FittedSpan>,
  windows: FittedWindows,
  imageOf: readonly number[],
): ScaledTerms {
  const { spans } = cloner;
  const fitted = spans.map((span) => fits.get(spanName(span)) as FittedSpan);
  const left = [...fitted.map(({ leftOut }) => leftOut), windows.leftOut];
  const logs = left.map((values) =>
    Array.from(values, (value) => Math.log(Math.max(value, smallestResidual))),
  );
  const scales = logs.map(robustScale);
  const energies = windows.leftOut.map((energy) => energy / (energy + windows.channels));
  const shares = [...fitted.map(({ unexplained }) => unexplained), energies];
  const weights = scales.map(({ spread }, at) => shortest((at < spans.length ? 1 : windowShare) / spread));
  const medians = scales.map(({ median }) => shortest(median));
  const ofRows = imageOf.map((_, row) =>
    logs.reduce(
      (sum, list, at) => sum + (weights[at] as number) * ((list[row] as number) - (medians[at] as number)),
      0,
    ),
  );
  const highest = highestRows(ofRows, imageOf);
  const ascending = shares.map((values) => highest.map((row) => values[row] as number).sort((a, b) => a - b));
  const terms: Terms = {
    value: weights,
    direction: weights.map(() => 0),
    typical: {
      value: medians,
      direction: ascending.map((values) => shortest(values[Math.floor(values.length / 2)] as number)),
    },
  };
  const directions = Object.fromEntries(
    termNames(cloner).map((name, at) => [name, ascending[at] as number[]] as const),
  );
  return { terms, scores: highest.map((row) => ofRows[row] as number), directions };
}

/** Returns the row with the highest score of each image. */
function highestRows(scores: readonly number[], imageOf: readonly number[]): number[] {
  const highest: number[] = [];
  for (const [row, image] of imageOf.entries()) {
    const other = highest[image];
    if (other === undefined || (scores[row] as number) > (scores[other] as number)) highest[image] = row;
  }
  return highest;
}

/**
 * Deviations above the median from which a good image is doubtful: on clean sets at most two images reach it. The deviation is
 * the distance to the 84 % quantile: a few defective images among the good ones do not stretch it.
 */
const doubtfulFrom = 4;
const deviationQuantile = 0.84;

/** Returns the places of images that the others do not explain, the most doubtful first. */
export function doubtfulOf(scores: readonly number[]): number[] {
  const ascending = [...scores].sort((a, b) => a - b);
  const at = (share: number): number => ascending[Math.floor(share * (ascending.length - 1))] as number;
  const median = at(0.5);
  const limit = median + doubtfulFrom * (at(deviationQuantile) - median);
  return [...scores.keys()]
    .filter((image) => (scores[image] as number) > limit)
    .sort((a, b) => (scores[b] as number) - (scores[a] as number));
}
