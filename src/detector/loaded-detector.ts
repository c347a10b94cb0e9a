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
