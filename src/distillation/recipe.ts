/** Recipes: the settings of a distillation, by name. */
import type { Tiling, ValueRange } from '../imaging/index.js';
import {
  type CriticalLayer,
  clonerLayout,
  type ExpertCard,
  type LayerSpec,
  type Layout,
  layersOf,
  paperClonerLayout,
  paperClonerWidth,
} from '../networks/index.js';

/** `linear`, the default, has a cloner in closed form and no {@link Recipe}; `paper` trains one. */
export const recipeNames = ['linear', 'paper'] as const;

export type RecipeName = (typeof recipeNames)[number];

/** Settings of a cloner that is trained. */
export interface Recipe {
  /** Critical layers of VGG-16 that the cloner is trained on. */
  readonly trainingLayers: readonly CriticalLayer[];
  /** Critical layers of VGG-16 that are scored, the deepest last. */
  readonly scoringLayers: readonly CriticalLayer[];
  /** Weight of the value discrepancy relative to the direction discrepancy. */
  readonly lambda: number;
  readonly learningRate: number;
  readonly inputSize: number;
  /** How images are cut into tiles; by default each is scaled to one square. */
  readonly tiling?: Tiling;
  /** Values of images with 16 bits per sample that become black and white. */
  readonly range?: ValueRange;
  /** Passes over all images. */
  readonly epochs: number;
  /** Images in a step. */
  readonly batch: number;
  /** Whether weights are averaged over the last half of the epochs, as in the paper; otherwise the last are used. */
  readonly average: boolean;
}

/** The paper's, by the authors' code for MVTec AD. */
export const paperRecipe: Recipe = {
  trainingLayers: ['pool2', 'pool3', 'pool4', 'pool5'],
  scoringLayers: ['pool3', 'pool4', 'pool5'],
  lambda: 0.5,
  learningRate: 1e-3,
  inputSize: 128,
  epochs: 601,
  batch: 64,
  average: false,
};

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
    return { ...recipe, layout: paperClonerLayout, trainingLayers };
  }
  const scored = Math.min(recipe.scoringLayers.length, layers.length);
  return {
    ...recipe,
    scoringLayers: layers.slice(-scored).map(({ name }) => name),
    layout: clonerLayout(layers, paperClonerWidth),
    trainingLayers: layers,
  };
}
