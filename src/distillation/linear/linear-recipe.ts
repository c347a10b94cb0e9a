/** The settings of the linear recipe, and how it differs from the paper. */
import type { LinearCloner } from '../../detector/index.js';

/** The settings of a linear cloner: which layers, which grids, how many directions. */
export interface LinearRecipe {
  readonly inputSize: number;
  readonly cloner: LinearCloner;
}

/**
 * The default settings. Averages over few cells tell what a part is made of, and over more cells how it is built. Fine
 * positions and cells of the middle layers tell where it differs.
 */
export const linearRecipe: LinearRecipe = {
  inputSize: 256,
  cloner: {
    kind: 'linear',
    spans: [
      { layer: 'pool4', grid: 2, components: 256 },
      { layer: 'pool4', grid: 4, components: 256 },
      { layer: 'pool5', grid: 4, components: 256 },
    ],
    windows: { layers: ['pool3', 'pool4'] },
    cells: [
      { layer: 'pool3', grid: 16, components: 64 },
      { layer: 'pool4', grid: 4, components: 256 },
    ],
    local: { layers: ['pool2', 'pool3'], components: 256 },
  },
};

/** What the manifest says of it. */
export const linearNotes: readonly string[] = [
  "The cloner is linear: the projection onto what the good images span, in closed form. The paper's is a network that is trained.",
  'The value discrepancy of a span is the logarithm of the squared distance that the projection leaves; the direction discrepancy is the share of the distance that it leaves, and does not count.',
  'Windows of 3 x 3 cells of pool3 and pool4 are compared wherever they are: the mean of the three highest squared distances from the mean of good images, in deviations along each direction. They count twice.',
  'The score sums the value discrepancies, each less its median and over its upper deviation on good images, each scored by all others.',
  'The threshold comes from all good images, each scored by all others: none is held back.',
  'Maps are the geometric mean of what is left at each position (pool2 and pool3) and in each cell (pool3 and pool4), smoothed (sigma 4/256 of the side), in deviations above what good images show, on one scale for all places; gradient maps are optional.',
];
