/** What is said of an image: the score and what it is made of. */
import type { LocalizationMap } from '../imaging/index.js';
import { pValue } from './conformal.js';
import type { RawScores } from './engine.js';
import type { LoadedDetector } from './loaded-detector.js';

export type Verdict = 'good' | 'anomalous';

export interface LayerScore {
  readonly layer: string;
  /** Value discrepancy, at least 0. */
  readonly value: number;
  /** Direction discrepancy, 0..2. */
  readonly direction: number;
  /** What the layer adds to the score, as a share of it: 0..1, all layers together 1. */
  readonly contribution: number;
}

export interface ImageScore {
  readonly score: number;
  readonly threshold: number;
  /** The chance that a good image scores at least this high; see {@link pValue}. */
  readonly pValue: number;
  readonly verdict: Verdict;
  readonly layers: readonly LayerScore[];
}

/**
 * The score of one of the images that went through the engine together.
 * @param threshold another than the detector's own.
 */
export function imageScore(
  detector: LoadedDetector,
  outputs: RawScores,
  index: number,
  threshold = detector.manifest.calibration.threshold,
): ImageScore {
  const { scoringLayers, lambda, calibration } = detector.manifest;
  const score = outputs.score[index] as number;
  const layers = scoringLayers.map((layer, at): LayerScore => {
    const value = outputs.value[index * scoringLayers.length + at] as number;
    const direction = outputs.direction[index * scoringLayers.length + at] as number;
    return { layer, value, direction, contribution: score > 0 ? (lambda * value + direction) / score : 0 };
  });
  return {
    score,
    threshold,
    pValue: pValue(calibration.scores, score),
    verdict: verdictOf(score, threshold),
    layers,
  };
}

/** `anomalous` above the threshold. */
export function verdictOf(score: number, threshold: number): Verdict {
  return score > threshold ? 'anomalous' : 'good';
}

/** The map of one of the images that went through the engine together. */
export function imageMap(detector: LoadedDetector, outputs: RawScores, index: number): LocalizationMap {
  const size = detector.shape.inputSize;
  if (!outputs.map) throw new RangeError('these scores were computed without maps');
  return { size, values: outputs.map.slice(index * size * size, (index + 1) * size * size) };
}
