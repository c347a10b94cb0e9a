/** Thresholds of scores and maps, from good images that the detector was not trained on. */
import { shortest, significant } from '../files/decimals.js';
import {
  CalibrationError,
  conformalThreshold,
  highestThreshold,
  promisedRate,
  supportedRate,
} from './conformal.js';
import type { Manifest, Terms } from './manifest.js';
import { scoreRounding } from './rounding.js';

export type Calibration = Manifest['calibration'];

/** Measured on good images: scores, discrepancies, and the values that 99.8 % of their map pixels stay below. */
export type GoodImages = Pick<Calibration, 'scores' | 'directions' | 'mapThresholds'>;

/**
 * Returns the calibration for good images. The threshold includes the rounding error of scores, so that the image that
 * sets it is always good.
 * @param terms of the detector.
 * @throws CalibrationError if there are too few images for the rate.
 */
export function calibration(
  { scores, ...maps }: GoodImages,
  terms: Terms,
  falseAlarmRate?: number,
): Calibration {
  const rate = supportedRate(scores.length, falseAlarmRate);
  const highestGood = conformalThreshold(scores, rate);
  return {
    scores: scores.map(shortest).sort((a, b) => a - b),
    threshold: significant(highestGood + scoreRounding(terms, highestGood), 7),
    falseAlarmRate: rate,
    ...rounded(maps),
  };
}

/**
 * Returns the calibration with a threshold set by hand, and the false-alarm rate that it promises.
 * @throws CalibrationError if it is not within the limits, or below all good images.
 */
export function withThreshold(before: Calibration, threshold: number): Calibration {
  if (!(Math.abs(threshold) <= highestThreshold)) {
    throw new CalibrationError(
      `threshold ${threshold}: must be a number from ${-highestThreshold} to ${highestThreshold}`,
    );
  }
  return { ...before, threshold, falseAlarmRate: promisedRate(before.scores, threshold) };
}

/** Returns a value with all numbers in it as short as their float32. */
function rounded<Some>(value: Some): Some {
  const asFloat = (_key: string, entry: unknown): unknown =>
    typeof entry === 'number' ? shortest(entry) : entry;
  return JSON.parse(JSON.stringify(value, asFloat)) as Some;
}
