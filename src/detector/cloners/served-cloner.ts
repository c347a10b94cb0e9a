/**
 * What serving needs of a cloner, whatever its kind: its part of the graph, and its tensors as inputs of that graph.
 * Scores, terms, thresholds and maps are the same for all kinds.
 */
import type { InputSize } from '../../imaging/index.js';
import type { CriticalLayer } from '../../networks/index.js';
import type { Objective } from '../../objective/index.js';
import type { Graph, Value } from '../../onnx/index.js';
import type { Tensors } from '../../runtime/index.js';
import type { TensorMap } from '../../weights/safetensors.js';
import type { Terms } from '../manifest.js';

/** The part of a serving graph's shape that all kinds of cloners have. */
export interface ScoreShape {
  readonly inputSize: InputSize;
  readonly scoringLayers: readonly CriticalLayer[];
}

/** The discrepancy map [N, 1, H, W] and its largest entry [N]. */
export interface DiscrepancyMap {
  readonly map: Value;
  readonly peak: Value;
}

/** The terms of the score, and their sum. */
export interface ScoreTerms extends Objective {
  /** Adds what gradient maps differentiate, [N]; by default it is the score. */
  readonly addDifferentiated?: () => Value;
  /** Adds the discrepancy map, if the cloner has one. */
  readonly addRegion?: () => DiscrepancyMap;
}

/** A cloner as serving sees it. */
export interface ServedCloner {
  /**
   * Adds the score of images.
   * @param image float32 [N, 3, H, W] in 0..1.
   * @param expertPools the expert's critical layers.
   */
  addScore(
    graph: Graph,
    image: Value,
    expertPools: ReadonlyMap<CriticalLayer, Value>,
    shape: ScoreShape,
  ): ScoreTerms;
  /**
   * Returns how deep each term of the score is: the place of its layer in the expert, or the mean of its layers' places.
   * @param layers of the expert, shallow ones first.
   */
  depths(shape: Pick<ScoreShape, 'scoringLayers'>, layers: readonly CriticalLayer[]): number[];
  /** Returns its tensors as inputs of the graph. @throws DetectorError if they do not fit. */
  feeds(terms: Terms, tensors: TensorMap): Tensors;
  /** Whether it has a discrepancy map; otherwise its maps are gradients. */
  readonly hasMap: boolean;
}
