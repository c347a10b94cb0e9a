/** Recipes: the settings of a distillation, by name. */
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
import type { TermShares } from './term-scales.js';

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
  /** Whether the weights of epochs in the last half are averaged, as the paper does, or the last ones kept. */
  readonly average: boolean;
  /** The localization method used unless a request asks for another. */
  readonly localization: 'discrepancy' | 'guided';
}

const common = {
  trainingLayers: ['pool2', 'pool3', 'pool4', 'pool5'],
  learningRate: 1e-3,
  inputSize: 128,
  average: false,
} as const;

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
