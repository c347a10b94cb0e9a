/**
 * Thresholds and p-values from the scores of good images only (split conformal prediction: Vovk, Gammerman and
 * Shafer 2005, chapter 2). The false-alarm rate holds for any distribution and any number of images, as long as the
 * images held back and new images are exchangeable: the same parts under the same light.
 */

/** Default false-alarm rate. */
export const defaultFalseAlarmRate = 0.05;

/** The detector cannot be calibrated with these images or verdicts; the message says why. */
export class CalibrationError extends Error {
  override readonly name = 'CalibrationError';
}

/** Returns how many good images a false-alarm rate needs: the smallest n with 1 / (n + 1) at most the rate. */
export function imagesNeeded(falseAlarmRate: number): number {
  return Math.ceil(1 / falseAlarmRate - roundingSlack) - 1;
}

/**
 * Returns the rate that `count` scores support: the requested one, or the default one, or the lowest possible one if
 * there are too few scores for the default.
 * @throws CalibrationError if the requested rate is invalid or needs more scores.
 */
export function supportedRate(count: number, requested?: number): number {
  if (count === 0) throw new CalibrationError('there are no good images to calibrate with; add some');
  if (requested === undefined) return Math.max(defaultFalseAlarmRate, 1 / (count + 1));
  if (!(requested > 0 && requested < 1)) {
    throw new CalibrationError(`false-alarm rate ${requested}: must be between 0 and 1, for example 0.05`);
  }
  const needed = imagesNeeded(requested);
  if (count >= needed) return requested;
  throw new CalibrationError(
    `a false-alarm rate of ${requested} needs at least ${needed} good images that were not used for training; ` +
      `there are ${count}; add images, or set a rate of at least ${Math.ceil(1000 / (count + 1)) / 1000}`,
  );
}

/** Thresholds beyond this, and below its negative, say nothing. */
export const highestThreshold = 1e9;

/**
 * Returns the threshold that a new good image exceeds with a probability of at most `falseAlarmRate`: the score of
 * rank (n + 1)(1 - rate), rounded up.
 * @param scores of good images that were not used for training.
 * @throws CalibrationError if there are too few for the rate.
 */
export function conformalThreshold(scores: readonly number[], falseAlarmRate: number): number {
  supportedRate(scores.length, falseAlarmRate);
  const ascending = [...scores].sort((a, b) => a - b);
  const rank = Math.ceil((scores.length + 1) * (1 - falseAlarmRate) - roundingSlack);
  return ascending[Math.min(Math.max(rank, 1), scores.length) - 1] as number;
}

/**
 * Returns the false-alarm rate that a threshold promises: the lowest for which {@link conformalThreshold} is not above it.
 * @throws CalibrationError if all good images lie above it.
 */
export function promisedRate(scores: readonly number[], threshold: number): number {
  const above = scores.filter((score) => score > threshold).length;
  if (above < scores.length) return (above + 1) / (scores.length + 1);
  const [lowest, highest] = [Math.min(...scores), Math.max(...scores)].map((score) => score.toPrecision(4));
  throw new CalibrationError(
    `a threshold of ${threshold} would call all ${scores.length} good images anomalous; they score ${lowest} to ${highest}`,
  );
}

export type Verdict = 'good' | 'anomalous';

/** An image is anomalous if its score is above the threshold. */
export function verdictOf(score: number, threshold: number): Verdict {
  return score > threshold ? 'anomalous' : 'good';
}

/**
 * Returns the probability that a good image scores at least this high, in 1 / (n + 1)..1. Over all good images, the
 * p-value is at most r with a probability of at most r.
 */
export function pValue(scores: readonly number[], score: number): number {
  return (1 + scores.filter((good) => good >= score).length) / (scores.length + 1);
}

/** Returns whether a p-value is at its lower bound: no good image scored that high, so it may be lower still. */
export function isLowestPValue(scores: readonly number[], p: number): boolean {
  return p * (scores.length + 1) < 1.5;
}

/** 20 * 0.95 is a little more than 19 in floating point; a rank must not depend on that. */
const roundingSlack = 1e-9;
