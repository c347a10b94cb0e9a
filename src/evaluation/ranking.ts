/** Measures of how well scores separate. A higher score is more anomalous. */

/**
 * Returns the area under the ROC curve: the probability that a positive scores above a negative, ties counting one
 * half (Mann and Whitney). In 0..1.
 * @throws RangeError if there are no positives or no negatives.
 */
export function auroc(positives: Float32Array, negatives: Float32Array): number {
  return partialAuroc(positives, negatives, 1);
}

/**
 * Returns the area under the ROC curve up to a false-positive rate, divided by that rate. In 0..1.
 * @param limit largest false-positive rate, above 0 and at most 1.
 * @throws RangeError if there are no positives or no negatives.
 */
export function partialAuroc(positives: Float32Array, negatives: Float32Array, limit: number): number {
  checkBoth(positives, negatives);
  return partialAurocSorted(positives, Float32Array.from(negatives).sort(), limit);
}

/** Returns the same for negatives that are already in ascending order. */
export function partialAurocSorted(
  positives: Float32Array,
  sortedNegatives: Float32Array,
  limit: number,
): number {
  const total = sortedNegatives.length;
  let area = 0;
  for (const score of positives) {
    // The curve rises by this positive between these rates, which differ if negatives have the same score.
    const from = (total - firstIndex(sortedNegatives, (negative) => negative > score)) / total;
    const to = (total - firstIndex(sortedNegatives, (negative) => negative >= score)) / total;
    if (limit >= to) area += limit - (from + to) / 2;
    else if (limit > from) area += (limit - from) ** 2 / (2 * (to - from));
  }
  return area / positives.length / limit;
}

/**
 * Returns the average precision: the sum over thresholds of precision times the gain in recall, without interpolation,
 * as scikit-learn defines it. In 0..1.
 * @throws RangeError if there are no positives or no negatives.
 */
export function averagePrecision(positives: Float32Array, negatives: Float32Array): number {
  checkBoth(positives, negatives);
  let before = 0;
  let sum = 0;
  for (const { truePositives, falsePositives } of thresholds(positives, negatives)) {
    sum += ((truePositives - before) / positives.length) * (truePositives / (truePositives + falsePositives));
    before = truePositives;
  }
  return sum;
}

/** Points of the curves behind the figures, from the highest threshold to the lowest; shares in 0..1. */
export interface Curves {
  readonly roc: readonly { readonly falsePositiveRate: number; readonly truePositiveRate: number }[];
  readonly precisionRecall: readonly { readonly recall: number; readonly precision: number }[];
}

/** Returns the curves, a point for each distinct score. @throws RangeError if there are no positives or no negatives. */
export function curvesOf(positives: Float32Array, negatives: Float32Array): Curves {
  checkBoth(positives, negatives);
  const points = [...thresholds(positives, negatives)];
  return {
    roc: [
      { falsePositiveRate: 0, truePositiveRate: 0 },
      ...points.map(({ truePositives, falsePositives }) => ({
        falsePositiveRate: falsePositives / negatives.length,
        truePositiveRate: truePositives / positives.length,
      })),
    ],
    precisionRecall: points.map(({ truePositives, falsePositives }) => ({
      recall: truePositives / positives.length,
      precision: truePositives / (truePositives + falsePositives),
    })),
  };
}

export interface BestF1 {
  /** Harmonic mean of precision and recall, 0..1. */
  readonly f1: number;
  /** Scores above it are anomalous, as in verdicts; halfway between the lowest of these and the next lower score. */
  readonly threshold: number;
}

/**
 * Returns the largest F1 of any threshold, and the highest threshold that reaches it. The threshold is chosen and
 * measured on the same labels: this is an upper bound, not a way to choose a threshold.
 * @throws RangeError if there are no positives or no negatives.
 */
export function bestF1(positives: Float32Array, negatives: Float32Array): BestF1 {
  checkBoth(positives, negatives);
  const all = [...thresholds(positives, negatives)];
  let best: BestF1 = { f1: 0, threshold: Number.POSITIVE_INFINITY };
  for (const [at, { score, truePositives, falsePositives }] of all.entries()) {
    const f1 = (2 * truePositives) / (truePositives + falsePositives + positives.length);
    const next = all[at + 1]?.score ?? score - 1;
    if (f1 > best.f1) best = { f1, threshold: (score + next) / 2 };
  }
  return best;
}

interface Threshold {
  /** Scores at or above it count as positive. */
  readonly score: number;
  readonly truePositives: number;
  readonly falsePositives: number;
}

/** Yields every score as a threshold, highest first. */
function* thresholds(positives: Float32Array, negatives: Float32Array): Generator<Threshold> {
  const above = Float32Array.from(positives).sort();
  const below = Float32Array.from(negatives).sort();
  let p = above.length;
  let n = below.length;
  while (p > 0 || n > 0) {
    const score = Math.max(
      above[p - 1] ?? Number.NEGATIVE_INFINITY,
      below[n - 1] ?? Number.NEGATIVE_INFINITY,
    );
    while (p > 0 && above[p - 1] === score) p--;
    while (n > 0 && below[n - 1] === score) n--;
    yield { score, truePositives: above.length - p, falsePositives: below.length - n };
  }
}

/** Returns the index of the first entry of an ascending list for which `holds`, or the list's length. */
function firstIndex(ascending: Float32Array, holds: (entry: number) => boolean): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(ascending[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function checkBoth(positives: Float32Array, negatives: Float32Array): void {
  for (const list of [positives, negatives]) {
    if (list.some(Number.isNaN)) throw new RangeError('a score is not a number');
  }
  if (positives.length === 0 || negatives.length === 0) {
    throw new RangeError('a ranking needs positives and negatives');
  }
}
