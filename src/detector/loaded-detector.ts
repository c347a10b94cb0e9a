/** A detector in memory. */
import type { InputShape } from '../imaging/index.js';
import type { Tensors } from '../runtime/index.js';
import type { LearnedImages } from './learned-images.js';
import type { Manifest } from './manifest.js';
import type { Meaning } from './meanings.js';
import type { SelfTest } from './self-test.js';
import type { ServingShape } from './serving-model.js';

/** The part of a detector that scoring needs. */
export interface Scorer {
  readonly shape: ServingShape;
  /** How images are scaled and cut for it. */
  readonly input: InputShape;
  /** Its inputs to the serving graph: folded weights and the weights of the discrepancies. */
  readonly feeds: Tensors;
  /** Replace some of the feeds, for another map. */
  readonly overrides?: Tensors;
  /** If positions are compared: the inputs that differ for the discrepancy map of a single scoring layer. */
  readonly layerFeeds: Readonly<Record<string, Tensors>>;
}

/** A detector in memory, ready for scoring. */
export interface LoadedDetector extends Scorer {
  readonly manifest: Manifest;
  /** What each term of the score sees. */
  readonly meanings: readonly Meaning[];
  /** Twelve hexadecimal digits that change whenever the detector does. */
  readonly version: string;
}

/** A detector as it was read, with data that is needed only to verify, evaluate or calibrate it. */
export interface UnverifiedDetector extends LoadedDetector {
  readonly selfTest: SelfTest;
  /** Images it must not be evaluated or calibrated with. */
  readonly learned: LearnedImages;
}

/** Returns the part of a detector that stays in memory after verification. */
export function withoutSelfTest({
  selfTest: _,
  learned: __,
  ...detector
}: UnverifiedDetector): LoadedDetector {
  return detector;
}

/**
 * Returns a scorer for the discrepancy map of one scoring layer; its scores are meaningless.
 * @throws RangeError if the layer has no discrepancy map.
 */
export function layerScorer(scorer: Scorer, layer: string): Scorer {
  const feeds = scorer.layerFeeds[layer];
  if (!feeds) {
    const known = Object.keys(scorer.layerFeeds).join(', ') || 'none';
    throw new RangeError(`this detector has no map of layer '${layer}'; available: ${known}`);
  }
  return { ...scorer, overrides: feeds };
}
