/** Where a detector departs from the paper's text or its authors' code, as the settings it was made with have it. */
import { type ExpertCard, paperClonerWidth } from '../networks/index.js';
import type { Curriculum } from './images/curriculum.js';
import { type Plan, recipeByName } from './recipe.js';

/** A note, or nothing where there is no departure. */
type Note = string | false;

/** The notes of a manifest. */
export function notesOf(plan: Plan, card: ExpertCard, curriculum: Curriculum): string[] {
  const notes: readonly Note[] = [
    ...networks(plan, card),
    ...score(plan, curriculum),
    ...images(plan, curriculum),
    ...training(plan, curriculum),
    'For the threshold, good images are scored by a cloner that has not learned from them.',
  ];
  return notes.filter((note) => note !== false);
}

function networks({ trainingLayers, scoringLayers, clonerWidth }: Plan, card: ExpertCard): Note[] {
  const learned = trainingLayers.map(({ name }) => name).join(', ');
  return [
    `The cloner learns to follow ${learned}; scored are ${scoringLayers.join(', ')}. The authors' code has pool2 to pool5, and pool3 to pool5.`,
    card.schema !== 'mkd.expert/1' && `The expert is ${card.name}; the paper has VGG-16.`,
    'The expert sees its own input convention, the cloner 0..1; the authors give both 0..1.',
    "The expert's activations are rescaled to unit size; value discrepancies are on that scale.",
    clonerWidth !== paperClonerWidth &&
      `The cloner has ${clonerWidth} channels between critical layers; the paper has ${paperClonerWidth}.`,
  ];
}

function score({ positions }: Plan, { batchDefects }: Curriculum): Note[] {
  if (!positions) {
    return ["Maps are on the detector's own scale; the authors scale every image by its own extremes."];
  }
  return [
    'Beside whole layers, positions are compared, in training and in scoring: a cosine over standardized channels at each of them.',
    batchDefects > 0 &&
      `In every batch ${batchDefects} good images have a made defect, where the cloner is kept from following the expert (margin ${positions.margin}).`,
    "The score is the directions of whole layers, how far the nearest good image is, and the peak of the position-wise map, each less what is typical and over its spread on good images; values do not count. The paper's is the loss.",
    "How far an image is: cosines between the strongest responses of each of the expert's channels.",
    'Maps are position-wise discrepancies, smoothed with a deviation of 8/128, in deviations above what good images show at the same place; gradients are there on request.',
  ];
}

function images({ tiling, inputSize }: Plan, { squares, good, trained }: Curriculum): Note[] {
  const variants = good.length - trained.length;
  return [
    tiling !== undefined &&
      `Images are cut into tiles of ${inputSize} pixels at a scale of ${tiling.scale}, and ${squares} squares of each are learned from; the paper scales each to one square.`,
    variants > 0 &&
      `${variants} variants of the images are learned from too: a little turned, shifted, scaled, brighter or flatter.`,
  ];
}

function training({ batch, lambda, schedule, average }: Plan, { epochs, averageEvery }: Curriculum): Note[] {
  const paper = recipeByName('paper');
  return [
    `lambda ${lambda} multiplies the values, as in the authors' code, which has 0.5 for MVTec AD and 0.01 for other data; in the paper it multiplies the directions.`,
    (epochs !== paper.epochs || batch !== paper.batch) &&
      `Epochs: ${epochs}, in batches of ${batch}; the authors have ${paper.epochs} in batches of ${paper.batch} for MVTec AD.`,
    schedule === 'cosine' && 'The learning rate falls along half a cosine; the authors keep it.',
    average
      ? `The weights are the mean over the last half of the epochs, every ${averageEvery} of them, as in the paper; the authors' code takes the last.`
      : "The weights are those of the last epoch, as in the authors' code; the paper averages.",
  ];
}
