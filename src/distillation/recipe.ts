/** Recipes: the settings of a distillation, by name. */
import type { TermShares } from '../detector/index.js';
import type { Tiling } from '../imaging/index.js';
import {
  type CriticalLayer,
  clonerLayout,
  type ExpertCard,
  type LayerSpec,
  type Layout,
  layersOf,
  paperClonerWidth,
  vggClonerLayout,
} from '../networks/index.js';

export type RecipeName = 'paper' | 'default';

export interface Recipe {
  readonly name: RecipeName;
  /** Critical layers of VGG-16 that the cloner learns to follow. */
  readonly trainingLayers: readonly CriticalLayer[];
  /** Critical layers of VGG-16 that are scored, the deepest last. */
  readonly scoringLayers: readonly CriticalLayer[];
  /** Channels of the cloner between critical layers. */
  readonly clonerWidth: number;
  /** Weight of the value discrepancy beside the direction discrepancy. */
  readonly lambda: number;
  readonly learningRate: number;
  /** Whether the learning rate stays, or falls along half a cosine. */
  readonly schedule: 'constant' | 'cosine';
  /** Where positions are compared too; without them the paper's score is used. */
  readonly positions?: {
    /** How much each term counts in the score. */
    readonly shares: TermShares;
    /** Position-wise discrepancy from which on a made defect is far enough from what the expert sees. */
    readonly margin: number;
  };
  /** What is made from the good images. */
  readonly made?: {
    /** Variants are made until there are so many images to learn from. */
    readonly leastImages: number;
    /** Images with a made defect, as a share of those to learn from. */
    readonly defects: number;
  };
  readonly inputSize: number;
  /** How images are cut into tiles; by default each is scaled to one square. */
  readonly tiling?: Tiling;
  /** Times through all images to learn from; or as many as show so many images, and at least so many. */
  readonly epochs: number | { readonly images: number; readonly least: number };
  readonly batch: number;
  /** Whether the weights of every tenth epoch of the last half are averaged. */
  readonly average: boolean;
  /** The localization method used unless a request asks for another. */
  readonly localization: 'discrepancy' | 'guided';
  /** What differs from the paper's text or its authors' code, and why. */
  readonly notes: readonly string[];
}

const common = {
  trainingLayers: ['pool2', 'pool3', 'pool4', 'pool5'],
  learningRate: 1e-3,
  inputSize: 128,
  average: false,
} as const;

const expertNotes = [
  'The expert sees its own input convention (mean removed); the authors give it 0..1. The cloner sees 0..1.',
  "The expert's activations are rescaled to unit size; value discrepancies are on that scale.",
  'A part of the good images is held back for the threshold and is not trained on.',
] as const;

const recipes: Readonly<Record<RecipeName, Recipe>> = {
  paper: {
    ...common,
    name: 'paper',
    scoringLayers: ['pool3', 'pool4', 'pool5'],
    clonerWidth: paperClonerWidth,
    schedule: 'constant',
    // The authors' value for MVTec AD.
    lambda: 0.5,
    epochs: 601,
    batch: 64,
    localization: 'guided',
    notes: [
      "By the authors' code where it and the paper differ: lambda multiplies the value term (0.5, their value for MVTec AD, unless told otherwise; they take 0.01 for other data), training on pool2 to pool5 and scoring on pool3 to pool5, the last epoch is kept (--average averages as the paper does).",
      "Maps are on the detector's own scale; the authors scale every image by its own extremes.",
      ...expertNotes,
    ],
  },
  default: {
    ...common,
    name: 'default',
    // What parts have in common shows in deep layers; shallow ones follow the lamp.
    scoringLayers: ['pool4', 'pool5'],
    // Half as many follow good images worse, and separate less.
    clonerWidth: 32,
    schedule: 'cosine',
    positions: { shares: { direction: [0.5, 1], neighbor: [1, 1], peak: 1 }, margin: 0.8 },
    made: { leastImages: 1024, defects: 1 / 3 },
    // Directions separate far better than values; this is the authors' value outside MVTec AD.
    lambda: 0.01,
    epochs: { images: 24_000, least: 10 },
    // Smaller batches take more steps in the same time.
    batch: 16,
    localization: 'discrepancy',
    notes: [
      'Beside whole layers, positions are compared: a cosine over standardized channels at each of them, in training on pool2 to pool5, in scoring on pool4 and pool5.',
      "The score is the directions of pool4 and pool5, how far the nearest good image is, and the peak of the position-wise map, each less what is typical and over its spread on good images; values do not count. The paper's has values and directions of pool3 to pool5.",
      'Beside the cloner the nearest good image counts: a cosine between the strongest responses of each channel of the expert, at pool4 and pool5, on the same scale.',
      'Maps are position-wise discrepancies, smoothed with a deviation of 8/128, in deviations above what good images show at the same place; gradients are there on request.',
      'Where good images are few, variants of them are learned from: a little turned, shifted, scaled, brighter or flatter.',
      'A quarter of every batch are good images with a made defect, where the cloner is kept from following the expert (margin 0.8).',
      'The cloner has 32 channels between critical layers, where the paper has 16.',
      'The learning rate falls along half a cosine.',
      'lambda 0.01, which the authors use outside MVTec AD, instead of 0.5: directions separate better than values.',
      'Batches of 16 instead of 64, and as many epochs as show 24,000 good images (10 at least) instead of 601, so that a detector is ready in minutes.',
      ...expertNotes,
    ],
  },
};

export const recipeNames = Object.keys(recipes) as RecipeName[];

export function recipeByName(name: RecipeName): Recipe {
  return recipes[name];
}

/** A recipe with the networks it is followed with. */
export interface Plan extends Omit<Recipe, 'trainingLayers'> {
  readonly layout: Layout;
  readonly trainingLayers: readonly LayerSpec[];
}

/**
 * The networks of a recipe. With an expert other than VGG-16, all its critical layers are learned, and as many of the
 * deepest scored as with VGG-16.
 */
export function planFor(recipe: Recipe, card: ExpertCard): Plan {
  const layers = layersOf(card);
  if (card.schema === 'mkd.expert/1') {
    const trainingLayers = layers.filter(({ name }) => recipe.trainingLayers.includes(name));
    return { ...recipe, layout: vggClonerLayout(recipe.clonerWidth), trainingLayers };
  }
  const scored = Math.min(recipe.scoringLayers.length, layers.length);
  const scoringLayers = layers.slice(-scored).map(({ name }) => name);
  const { positions } = recipe;
  const deepest = (shares: readonly number[]): readonly number[] => shares.slice(-scored);
  return {
    ...recipe,
    ...(positions
      ? {
          positions: {
            ...positions,
            shares: {
              ...positions.shares,
              direction: deepest(positions.shares.direction),
              neighbor: deepest(positions.shares.neighbor),
            },
          },
        }
      : {}),
    scoringLayers,
    layout: clonerLayout(layers, recipe.clonerWidth),
    trainingLayers: layers,
  };
}
