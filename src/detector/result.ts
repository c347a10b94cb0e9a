/** What is said of an image: the score and what it is made of. */
import { pValue } from './conformal.js';
import type { RawScores } from './engine.js';
import type { LoadedDetector } from './loaded-detector.js';
import { scoreRounding } from './rounding.js';
import { type LocalizationMethod, localizationMethods } from './serving-model.js';

export type Verdict = 'good' | 'anomalous';

export interface LayerScore {
  readonly layer: string;
  /** Value discrepancy, at least 0. */
  readonly value: number;
  /** Direction discrepancy, 0..2. */
  readonly direction: number;
  /** Discrepancy to the nearest good image, 0..1, where it counts. */
  readonly neighbor?: number;
  /** `texture` at the shallower half of the layers, `structure` at the deeper one. */
  readonly meaning: 'texture' | 'structure';
  /**
   * What the layer adds to the score, less what is typical of good images; the contributions of an image add up to its
   * score.
   */
  readonly contribution: number;
}

export interface ImageScore {
  readonly score: number;
  readonly threshold: number;
  /** The chance that a good image scores at least this high; see {@link pValue}. */
  readonly pValue: number;
  readonly verdict: Verdict;
  readonly layers: readonly LayerScore[];
  /** The discrepancy map's largest entry and what it adds to the score, where positions are compared. */
  readonly peak?: { readonly value: number; readonly contribution: number };
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
  const { scoringLayers, terms, calibration } = detector.manifest;
  const score = outputs.score[index] as number;
  const { typical } = terms;
  const layers = scoringLayers.map((layer, at): LayerScore => {
    const value = outputs.value[index * scoringLayers.length + at] as number;
    const direction = outputs.direction[index * scoringLayers.length + at] as number;
    const neighbor = outputs.neighbor?.[index * scoringLayers.length + at];
    const contribution =
      (terms.value[at] as number) * (value - (typical.value[at] as number)) +
      (terms.direction[at] as number) * (direction - (typical.direction[at] as number)) +
      (terms.neighbors?.weights[at] ?? 0) * ((neighbor ?? 0) - (terms.neighbors?.typical[at] ?? 0));
    const meaning = at < Math.floor(scoringLayers.length / 2) ? 'texture' : 'structure';
    return {
      layer,
      meaning,
      value,
      direction,
      ...(neighbor === undefined ? {} : { neighbor }),
      contribution,
    };
  });
  const peak = outputs.peak?.[index];
  return {
    score,
    threshold,
    pValue: pValue(calibration.scores, score - scoreRounding(terms, score)),
    verdict: verdictOf(score, threshold),
    layers,
    ...(peak === undefined || !terms.map
      ? {}
      : { peak: { value: peak, contribution: terms.map.weight * (peak - typical.peak) } }),
  };
}

/** `anomalous` above the threshold. */
export function verdictOf(score: number, threshold: number): Verdict {
  return score > threshold ? 'anomalous' : 'good';
}

/** Methods by which a detector localizes. */
export function methodsOf({ shape }: LoadedDetector): LocalizationMethod[] {
  return localizationMethods.filter((method) => method !== 'discrepancy' || shape.positions);
}

/**
 * What good parts' maps stay below.
 * @param layer of the map of this layer alone.
 * @throws RangeError when the detector has no such map.
 */
export function mapThreshold(detector: LoadedDetector, method: LocalizationMethod, layer?: string): number {
  const { mapThresholds, layerMapThresholds = {} } = detector.manifest.calibration;
  if (layer !== undefined) {
    const threshold = method === 'discrepancy' ? layerMapThresholds[layer] : undefined;
    if (threshold !== undefined) return threshold;
    const known = Object.keys(layerMapThresholds);
    throw new RangeError(
      known.length > 0
        ? `there is no map of the layer '${layer}' by ${method}; by discrepancy there are ${known.join(', ')}`
        : 'this detector compares whole layers only and has no maps of layers',
    );
  }
  const threshold = mapThresholds[method];
  if (threshold !== undefined) return threshold;
  throw new RangeError(
    `this detector has no map by '${method}'; there are ${methodsOf(detector).join(', ')}`,
  );
}
