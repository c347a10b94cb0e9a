/**
 * Thresholds and p-values from the scores of good images alone (split conformal prediction: Vovk, Gammerman and
 * Shafer 2005, chapter 2). What is promised holds for any distribution and any number of images, as long as the
 * images held back and the images to come are exchangeable: the same parts under the same light.
 */

/** The false-alarm rate aimed at unless another is asked for. */
export const usualFalseAlarmRate = 0.05;

/** The good images cannot support the rate asked for; the message says how many could. */
export class CalibrationError extends Error {
  override readonly name = 'CalibrationError';
}

/** How many scores of good images a false-alarm rate takes: the smallest n with 1 / (n + 1) at most the rate. */
export function imagesNeeded(falseAlarmRate: number): number {
  return Math.ceil(1 / falseAlarmRate - roundingSlack) - 1;
}

/**
 * The rate that `count` scores can promise: the one asked for, else the usual one, or the smallest there is
 * where the scores are too few for it.
 * @throws CalibrationError when the rate asked for is no rate, or cannot be promised.
 */
export function supportedRate(count: number, asked?: number): number {
  if (count === 0) throw new CalibrationError('there is no good image to calibrate with');
  if (asked === undefined) return Math.max(usualFalseAlarmRate, 1 / (count + 1));
  if (!(asked > 0 && asked < 1)) {
    throw new CalibrationError(`false-alarm rate ${asked}: wanted a number between 0 and 1, such as 0.05`);
  }
  const needed = imagesNeeded(asked);
  if (count >= needed) return asked;
  throw new CalibrationError(
    `a false-alarm rate of ${asked} needs at least ${needed} good images that were not trained on, ` +
      `there are ${count}; add images, or ask for ${Math.ceil(1000 / (count + 1)) / 1000} or more`,
  );
}

/**
 * The threshold that a new good image exceeds with a chance of at most `falseAlarmRate`: the score of rank
 * (n + 1)(1 - rate), rounded up.
 * @param scores of good images that were not trained on.
 * @throws CalibrationError when they are too few for the rate.
 */
export function conformalThreshold(scores: readonly number[], falseAlarmRate: number): number {
  supportedRate(scores.length, falseAlarmRate);
  const ascending = [...scores].sort((a, b) => a - b);
  const rank = Math.ceil((scores.length + 1) * (1 - falseAlarmRate) - roundingSlack);
  return ascending[Math.min(Math.max(rank, 1), scores.length) - 1] as number;
}

/**
 * The chance that a good image scores at least this high, in 1 / (n + 1)..1: small where an image is unlike the
 * good ones. Over all good images it is at most r with a chance of at most r.
 */
export function pValue(scores: readonly number[], score: number): number {
  return (1 + scores.filter((good) => good >= score).length) / (scores.length + 1);
}

/** 20 * 0.95 is a little more than 19 in floating point; a rank must not depend on that. */
const roundingSlack = 1e-9;
