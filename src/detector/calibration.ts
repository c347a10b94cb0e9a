/** What a detector knows about good images it was not trained on: thresholds of scores and maps. */
import { conformalThreshold, supportedRate } from './conformal.js';
import type { Manifest, Terms } from './manifest.js';
import { scoreRounding } from './rounding.js';

export type Calibration = Manifest['calibration'];

/** What good images give: their scores and discrepancies, and what all but 0.2 % of the pixels of their maps stay below. */
export type GoodImages = Pick<Calibration, 'scores' | 'directions' | 'mapThresholds' | 'layerMapThresholds'>;

/**
 * Returns the calibration that follows from good images. The image whose score sets the threshold stays good however its
 * score is rounded.
 * @param terms of the detector.
 * @throws CalibrationError if the images are too few for the rate.
 */
export function calibration(
  { scores, ...maps }: GoodImages,
  terms: Terms,
  falseAlarmRate?: number,
): Calibration {
  const rate = supportedRate(scores.length, falseAlarmRate);
  const highestGood = conformalThreshold(scores, rate);
  return {
    scores: [...scores].sort((a, b) => a - b),
    threshold: highestGood + scoreRounding(terms, highestGood),
    falseAlarmRate: rate,
    ...maps,
  };
}
