/** Measures of how well scores separate, over plain arrays. */

/**
 * Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half
 * (Mann and Whitney). In 0..1.
 * @throws RangeError when there are no positives or no negatives.
 */
export function auroc(positives: Float32Array, negatives: Float32Array): number {
  checkBoth(positives, negatives);
  let wins = 0;
  for (const { positive, negative, negativesBelow } of descendingGroups(positives, negatives)) {
    wins += positive * (negativesBelow + negative / 2);
  }
  return wins / (positives.length * negatives.length);
}

/**
 * Average precision: the sum over thresholds of precision times the gain in recall, without interpolation, as
 * scikit-learn defines it. In 0..1.
 * @throws RangeError when there are no positives or no negatives.
 */
export function averagePrecision(positives: Float32Array, negatives: Float32Array): number {
  checkBoth(positives, negatives);
  let truePositives = 0;
  let falsePositives = 0;
  let sum = 0;
  for (const { positive, negative } of descendingGroups(positives, negatives)) {
    truePositives += positive;
    falsePositives += negative;
    sum += (positive / positives.length) * (truePositives / (truePositives + falsePositives));
  }
  return sum;
}

interface Group {
  /** How many positives and negatives have this score. */
  readonly positive: number;
  readonly negative: number;
  readonly negativesBelow: number;
}

/** Equal scores together, highest first. */
function* descendingGroups(positives: Float32Array, negatives: Float32Array): Generator<Group> {
  const above = Float32Array.from(positives).sort();
  const below = Float32Array.from(negatives).sort();
  let p = above.length;
  let n = below.length;
  while (p > 0 || n > 0) {
    const score = Math.max(
      above[p - 1] ?? Number.NEGATIVE_INFINITY,
      below[n - 1] ?? Number.NEGATIVE_INFINITY,
    );
    const [pBefore, nBefore] = [p, n];
    while (p > 0 && above[p - 1] === score) p--;
    while (n > 0 && below[n - 1] === score) n--;
    yield { positive: pBefore - p, negative: nBefore - n, negativesBelow: n };
  }
}

function checkBoth(positives: Float32Array, negatives: Float32Array): void {
  for (const list of [positives, negatives]) {
    if (list.some(Number.isNaN)) throw new RangeError('a score is not a number');
  }
  if (positives.length === 0 || negatives.length === 0) {
    throw new RangeError('a ranking needs positives and negatives');
  }
}
