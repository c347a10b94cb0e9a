/** Recipes: the settings of a distillation, by name. */
import type { Tiling, ValueRange } from '../imaging/index.js';
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

/** Recipes with a convolutional cloner. */
export type TrainedRecipeName = 'paper' | 'convolutional';

/** All recipes; `linear`, the default, has a cloner in closed form and no {@link Recipe}. */
export type RecipeName = TrainedRecipeName | 'linear';

export interface Recipe {
  readonly name: TrainedRecipeName;
  /** Critical layers of VGG-16 that the cloner is trained on. */
  readonly trainingLayers: readonly CriticalLayer[];
  /** Critical layers of VGG-16 that are scored, the deepest last. */
  readonly scoringLayers: readonly CriticalLayer[];
  /** Channels of the cloner between critical layers. */
  readonly clonerWidth: number;
  /** Weight of the value discrepancy relative to the direction discrepancy. */
  readonly lambda: number;
  readonly learningRate: number;
  /** Whether the learning rate is constant or follows half a cosine. */
  readonly schedule: 'constant' | 'cosine';
  /** If positions are compared; otherwise the paper's score is used. */
  readonly positions?: {
    /** Share of each term in the score. */
    readonly shares: TermShares;
    /** Position-wise discrepancy up to which training pushes at synthetic defects. */
    readonly margin: number;
  };
  /** Images made from the good images. */
  readonly augmentation?: {
    /** Augmented copies are added up to this number of training images. */
    readonly minImages: number;
    /** Images with a synthetic defect, as a share of the training images. */
    readonly defects: number;
  };
  readonly inputSize: number;
  /** How images are cut into tiles; by default each is scaled to one square. */
  readonly tiling?: Tiling;
  /** Values of images with 16 bits per sample that become black and white. */
  readonly range?: ValueRange;
  /** Number of epochs; or the total number of images to train on, and the minimum number of epochs. */
  readonly epochs: number | { readonly images: number; readonly least: number };
  readonly batch: number;
  /** Whether weights are averaged over the last half of the epochs, as in the paper; otherwise the last are used. */
  readonly average: boolean;
  /** Default localization method. */
  readonly localization: 'discrepancy' | 'guided';
}

const common = {
  trainingLayers: ['pool2', 'pool3', 'pool4', 'pool5'],
  learningRate: 1e-3,
  inputSize: 128,
  average: false,
} as const;

const recipes: Readonly<Record<TrainedRecipeName, Recipe>> = {
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
  convolutional: {
    ...common,
    name: 'convolutional',
    // Deep layers show what parts have in common; shallow ones depend on the lighting.
    scoringLayers: ['pool4', 'pool5'],
    // With half as many, the cloner follows good images less well, and scores separate less.
    clonerWidth: 32,
    schedule: 'cosine',
    positions: { shares: { direction: [0.5, 1], neighbor: [1, 1], peak: 1 }, margin: 0.8 },
    augmentation: { minImages: 1024, defects: 1 / 3 },
    // Directions separate far better than values; this is the authors' value outside MVTec AD.
    lambda: 0.01,
    epochs: { images: 24_000, least: 10 },
    // Smaller batches take more steps in the same time.
    batch: 16,
    localization: 'discrepancy',
  },
};

export const recipeNames: readonly RecipeName[] = [
  'linear',
  ...(Object.keys(recipes) as TrainedRecipeName[]),
];

export function recipeByName(name: TrainedRecipeName): Recipe {
  return recipes[name];
}

/** A recipe with its networks. */
export interface Plan extends Omit<Recipe, 'trainingLayers'> {
  readonly layout: Layout;
  readonly trainingLayers: readonly LayerSpec[];
}

/**
 * Returns a recipe with its networks. With an expert other than VGG-16, the cloner is trained on all critical layers,
 * and as many of the deepest are scored as with VGG-16.
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
