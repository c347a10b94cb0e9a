/**
 * Names of tensors, shared by all code: graph builders declare inputs and outputs with them, engine and trainer
 * feed and read them, and a detector's files store tensors under them.
 */
import type { CriticalLayer } from './layout.js';

/** Inputs of graphs for activations, scoring and training. */
export const inputs = {
  /** uint8 [N, H, W, 3] */
  image: 'image',
  /** float32 [L], one weight for each layer. */
  valueWeights: 'value_weights',
  directionWeights: 'direction_weights',
  /** float32 [L]: typical value discrepancies of good images. */
  valueTypical: 'value_typical',
  /** float32 scalar: typical score of good images, subtracted from the score. */
  scoreOffset: 'score_offset',
  /** bool scalar: whether the discrepancy map is computed. */
  mapWanted: 'map_wanted',
  /** float32 scalars: mean and deviation of good images' maps. */
  mapMean: 'map_mean',
  mapDeviation: 'map_deviation',
  /** SmoothGrad: float32 [K, 3, H, W] in 0..1 units; [1, 3, H, W], the sum so far; the total number of copies. */
  noise: 'noise',
  gradientSum: 'gradient_sum',
  copies: 'copies',
  /** Training: Adam's two scalars. */
  stepSize: 'step_size',
  rootCorrection: 'root_correction',
} as const;

/** Outputs of graphs. */
export const outputs = {
  /** float32 [N] */
  score: 'score',
  /** float32 [N], the largest entry of the discrepancy map. */
  peak: 'peak',
  /** float32 [N, L] */
  value: 'value',
  direction: 'direction',
  /** float32 [N, H, W] */
  map: 'map',
  /** Training: float32 scalar, or [N] on validation images. */
  loss: 'loss',
} as const;

/** Tensors of one critical layer, in graphs and in files. */
export const layerNames = {
  /** float32 [N, C, H, W]: activations of the expert. */
  expert: (layer: CriticalLayer) => `expert.${layer}` as const,
} as const;

/** Further tensors in `cloner.safetensors`. */
export const storedNames = {
  /** uint8 [files, 8]: the first bytes of the SHA-256 of each training image. */
  learnedImages: 'learned.images',
  /** uint8 [files, 16, 16]: a thumbnail of each training image. */
  learnedThumbnails: 'learned.thumbnails',
  /** uint8 [H, W]: 1 inside the region of interest. */
  region: 'input.region',
} as const;

/** Returns the graph input of a folded cloner weight. */
export const clonerInput = (parameter: string) => `cloner.${parameter}` as const;

/** Returns the output that becomes this input in the next training step. */
export const nextStateName = (name: string) => `${name}.next` as const;

/** Returns the name of an Adam moment of a parameter. */
export const momentOf = (parameter: string, moment: 'm' | 'v') => `${parameter}.${moment}` as const;
