/** The settings of the linear recipe, and how it differs from the paper. */
import type { LinearCloner } from '../../detector/index.js';
import { type CriticalLayer, type ExpertCard, type LayerSpec, layersOf } from '../../networks/index.js';
import { DistillSettingsError } from '../settings.js';

/** The settings of a linear cloner: which layers, which grids, how many directions. */
export interface LinearRecipe {
  readonly inputSize: number;
  readonly cloner: LinearCloner;
}

/**
 * What each scale of a layer, in pixels of the image for one position, is good for. Averages over few cells tell what a part
 * is made of, and over more cells how it is built. Fine positions and cells of the middle layers tell where it differs.
 */
function clonerOf(layer: (stride: number) => CriticalLayer): LinearCloner {
  return {
    kind: 'linear',
    spans: [
      { layer: layer(16), grid: 2, components: 64 },
      { layer: layer(16), grid: 4, components: 64 },
      { layer: layer(32), grid: 4, components: 64 },
    ],
    windows: { layers: [layer(8), layer(16)] },
    cells: [
      { layer: layer(8), grid: 16, components: 24 },
      { layer: layer(16), grid: 4, components: 64 },
    ],
    local: { layers: [layer(4), layer(8)], components: 256 },
  };
}

/**
 * EfficientNet's layers: the first of a stage is wide enough to say what there is. The choice is that of the ablation in
 * docs/detection.md.
 */
const efficientNetCloner: LinearCloner = {
  kind: 'linear',
  spans: [
    { layer: 'stage2', grid: 4, components: 64 },
    { layer: 'stage5', grid: 4, components: 64 },
    { layer: 'head', grid: 2, components: 64 },
  ],
  windows: { layers: ['stage2', 'stage3'] },
  cells: [
    { layer: 'stage3', grid: 16, components: 24 },
    { layer: 'stage4', grid: 4, components: 64 },
  ],
  local: { layers: ['stage2'], components: 64 },
};

/**
 * The layers of a transformer all have one stride, and differ in how much of the image each token knows of. Of three or
 * more of them, the first, the one in the middle and the last are used.
 */
function transformerCloner(layers: readonly LayerSpec[]): LinearCloner {
  const at = (share: number): CriticalLayer =>
    (layers[Math.round(share * (layers.length - 1))] as LayerSpec).name;
  const [first, middle, last] = [at(0), at(0.5), at(1)];
  return {
    kind: 'linear',
    spans: [
      { layer: middle, grid: 2, components: 64 },
      { layer: middle, grid: 4, components: 64 },
      { layer: last, grid: 4, components: 64 },
    ],
    windows: { layers: [...new Set([first, middle])] },
    cells: [
      { layer: middle, grid: 16, components: 24 },
      { layer: last, grid: 4, components: 64 },
    ],
    local: { layers: [first], components: 64 },
  };
}

/** Returns the settings for an expert. @throws DistillSettingsError naming the layer that it lacks. */
export function linearRecipeFor(card: ExpertCard): LinearRecipe {
  const layers = layersOf(card);
  const known = new Set(layers.map(({ name }) => name));
  if (efficientNetCloner.spans.every(({ layer }) => known.has(layer)))
    return { inputSize: 256, cloner: efficientNetCloner };
  if (
    card.schema === 'mkd.expert-model/1' &&
    card.patch !== undefined &&
    new Set(layers.map(({ stride }) => stride)).size === 1
  )
    return { inputSize: 256, cloner: transformerCloner(layers) };
  const cloner = clonerOf((stride) => {
    const found = [...layers].reverse().find((layer) => layer.stride === stride);
    if (found) return found.name;
    const have = layers.map(({ name, stride: of }) => `${name} (${of})`).join(', ');
    throw new DistillSettingsError(
      `the linear recipe needs layers of stride 4, 8, 16 and 32, and ${card.name} has ${have}; import it with other --layers, or take --recipe convolutional`,
    );
  });
  return { inputSize: 256, cloner };
}

/** What the manifest says of it. */
export const linearNotes: readonly string[] = [
  "The cloner is linear: the projection onto what the good images span, in closed form. The paper's is a network that is trained.",
  'The value discrepancy of a span is the logarithm of the squared distance that the projection leaves; the direction discrepancy is the share of the distance that it leaves, and does not count.',
  'Windows of 3 x 3 cells are compared wherever they are: the mean of the three highest squared distances from the mean of good images, in deviations along each direction. They count twice.',
  'The score sums the value discrepancies, each less its median and over its upper deviation on good images, each scored by all others.',
  'The threshold comes from all good images, each scored by all others: none is held back.',
  'Maps are the geometric mean of what is left at each position and in each cell, smoothed (sigma 4/256 of the side), in deviations above what good images show, on one scale for all places. Gradient maps are optional; they differentiate what is left, not its logarithm.',
];
