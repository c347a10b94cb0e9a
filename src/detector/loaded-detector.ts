/** A detector in memory. */
import type { InputShape } from '../imaging/index.js';
import type { Tensors } from '../runtime/index.js';
import type { LearnedImages } from './learned-images.js';
import type { Manifest } from './manifest.js';
import type { SelfTest } from './self-test.js';
import type { ServingShape } from './serving-model.js';

/** What scoring needs of a detector. */
export interface Scorer {
  readonly shape: ServingShape;
  /** How images are scaled and cut for it. */
  readonly input: InputShape;
  /** Its inputs to the serving graph: folded weights and the weights of the discrepancies. */
  readonly feeds: Tensors;
  /** What stands in their place for a map that differs. */
  readonly overrides?: Tensors;
  /** Where positions are compared: the inputs that differ for the discrepancy map of one scoring layer alone. */
  readonly layerFeeds: Readonly<Record<string, Tensors>>;
}

/** A detector in memory, ready to be scored with. */
export interface LoadedDetector extends Scorer {
  readonly manifest: Manifest;
  /** Twelve hexadecimal digits that change whenever the detector does. */
  readonly version: string;
}

/** A detector as it was read, with what verifies and measures it. Only the rest need stay in memory. */
export interface UnverifiedDetector extends LoadedDetector {
  readonly selfTest: SelfTest;
  /** What it must not be measured or calibrated with. */
  readonly learned: LearnedImages;
}

/** What of a detector stays in memory once it is verified. */
export function withoutSelfTest({
  selfTest: _,
  learned: __,
  ...detector
}: UnverifiedDetector): LoadedDetector {
  return detector;
}

/**
 * A scorer for the discrepancy map of one scoring layer; what it scores has no meaning.
 * @throws RangeError when the layer is not scored by position.
 */
export function layerScorer(scorer: Scorer, layer: string): Scorer {
  const feeds = scorer.layerFeeds[layer];
  if (!feeds) {
    const known = Object.keys(scorer.layerFeeds).join(', ') || 'none';
    throw new RangeError(`this detector has no map of the layer '${layer}'; there are ${known}`);
  }
  return { ...scorer, overrides: feeds };
}
