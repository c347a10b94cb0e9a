/** Recipes: the settings of a distillation, by name. */
import { type CriticalLayer, type Layout, paperClonerLayout } from '../networks/index.js';

export type RecipeName = 'paper' | 'default';

export interface Recipe {
  readonly name: RecipeName;
  readonly layout: Layout;
  readonly trainingLayers: readonly CriticalLayer[];
  readonly scoringLayers: readonly CriticalLayer[];
  /** Weight of the value discrepancy beside the direction discrepancy. */
  readonly lambda: number;
  readonly learningRate: number;
  readonly inputSize: number;
  readonly epochs: number;
  readonly batch: number;
  /** The localization method used unless a request asks for another. */
  readonly localization: 'gradient' | 'guided';
  /** What differs from the paper's text or its authors' code, and why. */
  readonly notes: readonly string[];
}

const common = {
  layout: paperClonerLayout,
  trainingLayers: ['pool2', 'pool3', 'pool4', 'pool5'],
  scoringLayers: ['pool3', 'pool4', 'pool5'],
  learningRate: 1e-3,
  inputSize: 128,
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
    lambda: 0.5,
    epochs: 601,
    batch: 64,
    localization: 'guided',
    notes: [
      "By the authors' code where it and the paper differ: lambda multiplies the value term, training on pool2 to pool5 and scoring on pool3 to pool5, the last epoch is kept.",
      ...expertNotes,
    ],
  },
  default: {
    ...common,
    name: 'default',
    // Directions separate far better than values; this is the authors' value outside MVTec AD.
    lambda: 0.01,
    epochs: 60,
    // Smaller batches take more steps in the same time.
    batch: 16,
    localization: 'gradient',
    notes: [
      'lambda 0.01, which the authors use outside MVTec AD, instead of 0.5: directions separate better than values.',
      'Batches of 16 instead of 64 and 60 epochs instead of 601, so that a detector is ready in minutes.',
      'Plain gradients for localization, as in the paper; the code uses guided back-propagation.',
      ...expertNotes,
    ],
  },
};

export const recipeNames = Object.keys(recipes) as RecipeName[];

export function recipeByName(name: RecipeName): Recipe {
  return recipes[name];
}
