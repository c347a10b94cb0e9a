/**
 * The names of tensors, one contract: graph builders declare inputs and outputs by them, the engine and the trainer feed
 * and read them, a detector's files store tensors under them.
 */
import type { CriticalLayer } from './layout.js';

/** Inputs of graphs that show images, score or train. */
export const inputs = {
  /** uint8 [N, H, W, 3] */
  image: 'image',
  /** float32 [L], one weight for each layer. */
  valueWeights: 'value_weights',
  directionWeights: 'direction_weights',
  neighborWeights: 'neighbor_weights',
  positionWeights: 'position_weights',
  /** float32 scalar: what typical good images score, subtracted from the score. */
  scoreOffset: 'score_offset',
  /** float32 scalar: weight of the map's largest entry in the score. */
  mapWeight: 'map_weight',
  /** float32 [H, W]: what good images show at each place of the map. */
  mapMean: 'map_mean',
  mapDeviation: 'map_deviation',
  /** SmoothGrad: float32 [K, 3, H, W] in 0..1 units; [1, 3, H, W] of the parts before; the number of copies in all. */
  noise: 'noise',
  gradientSum: 'gradient_sum',
  copies: 'copies',
  /** Training: uint8 [N, H, W], 1 where a defect was made; Adam's two scalars. */
  defect: 'defect',
  stepSize: 'step_size',
  rootCorrection: 'root_correction',
} as const;

/** Outputs of graphs. */
export const outputs = {
  /** float32 [N] */
  score: 'score',
  peak: 'peak',
  /** float32 [N, L] */
  value: 'value',
  direction: 'direction',
  neighbor: 'neighbor',
  /** float32 [N, H, W] */
  map: 'map',
  /** Training: float32 scalar, or [N] on images held back. */
  loss: 'loss',
} as const;

/** Tensors of one critical layer, in graphs and in files. */
export const ofLayer = {
  /** float32 [N, C, H, W]: what the expert computes. */
  expert: (layer: CriticalLayer) => `expert.${layer}` as const,
  /** float32 [N, C]: an image in short, for the comparison with good ones. */
  summary: (layer: CriticalLayer) => `summary.${layer}` as const,
  /** float32 [C, K]: summaries of good images, as columns. */
  neighbors: (layer: CriticalLayer) => `neighbors.${layer}` as const,
  /** float32 [C]: inputs that standardize the expert's channels. */
  mean: (layer: CriticalLayer) => `mean.${layer}` as const,
  inverseDeviation: (layer: CriticalLayer) => `inverse_deviation.${layer}` as const,
} as const;

/** Tensors of `cloner.safetensors` beside the cloner's own. */
export const stored = {
  /** float32 [C]: the expert's channels over good images. */
  channelMean: (layer: CriticalLayer) => `expert.${layer}.mean` as const,
  channelDeviation: (layer: CriticalLayer) => `expert.${layer}.deviation` as const,
  /** The discrepancy map of all layers together, or of one: its name. */
  map: (layer?: CriticalLayer) => (layer === undefined ? 'map' : `map.${layer}`),
  /** float32 [H, W], by the name of a map. */
  placeMean: (map: string) => `${map}.mean` as const,
  placeDeviation: (map: string) => `${map}.deviation` as const,
  /** uint8 [files, 8]: the first bytes of the SHA-256 of each image that was learned from. */
  learnedImages: 'learned.images',
} as const;

/** The cloner's folded weight as an input of a graph. */
export const clonerInput = (parameter: string) => `cloner.${parameter}` as const;

/** What an input of one step is for the next step. */
export const nextOf = (name: string) => `${name}.next` as const;

/** Adam's moments of a parameter. */
export const momentOf = (parameter: string, moment: 'm' | 'v') => `${parameter}.${moment}` as const;
