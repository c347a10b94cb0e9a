/** Differences between a detector and the paper or its authors' code, for the settings it was made with. */
import { type ExpertCard, paperClonerWidth } from '../networks/index.js';
import type { Curriculum } from './images/curriculum.js';
import { type Plan, recipeByName } from './recipe.js';

/** A note, or false if there is no difference. */
type Note = string | false;

/** Returns the notes of a manifest. */
export function notesOf(plan: Plan, card: ExpertCard, curriculum: Curriculum): string[] {
  const notes: readonly Note[] = [
    ...networks(plan, card),
    ...score(plan, curriculum),
    ...images(plan, curriculum),
    ...training(plan, curriculum),
    'The threshold comes from good images scored by a cloner that was not trained on them.',
  ];
  return notes.filter((note) => note !== false);
}

function networks({ trainingLayers, scoringLayers, clonerWidth }: Plan, card: ExpertCard): Note[] {
  const learned = trainingLayers.map(({ name }) => name).join(', ');
  return [
    `The cloner is trained on ${learned} and scored on ${scoringLayers.join(', ')}; the authors' code uses pool2 to pool5 and pool3 to pool5.`,
    card.schema !== 'mkd.expert/1' && `The expert is ${card.name}; the paper uses VGG-16.`,
    'The expert has its own input convention, the cloner 0..1; the authors use 0..1 for both.',
    "The expert's activations are rescaled to unit size; value discrepancies use that scale.",
    clonerWidth !== paperClonerWidth &&
      `The cloner has ${clonerWidth} channels between critical layers; the paper has ${paperClonerWidth}.`,
  ];
}

function score({ positions }: Plan, { batchDefects }: Curriculum): Note[] {
  if (!positions) {
    return ['Maps have one scale per detector; the authors scale every map by its own minimum and maximum.'];
  }
  return [
    'Besides whole layers, positions are compared in training and scoring, by a cosine over standardized channels at each position.',
    batchDefects > 0 &&
      `In every batch, ${batchDefects} images have a synthetic defect, where the cloner is trained not to follow the expert (margin ${positions.margin}).`,
    "The score sums direction discrepancies of whole layers, the distance to the nearest good image and the peak of the position-wise map, each centered and scaled by its spread on good images; values do not count. The paper's score is the loss.",
    "The distance between images is a cosine of the maximum responses of the expert's channels.",
    'Maps are position-wise discrepancies, smoothed (sigma 8/128 of the side), in standard deviations above good images at the same place; gradient maps are optional.',
  ];
}

function images({ tiling, inputSize }: Plan, { squares, good, trainingSquares }: Curriculum): Note[] {
  const variants = good.length - trainingSquares.length;
  return [
    tiling !== undefined &&
      `Images are cut into tiles of ${inputSize} pixels at a scale of ${tiling.scale}, and ${squares} squares of each are used for training; the paper scales each image to one square.`,
    variants > 0 &&
      `Training also uses ${variants} augmented copies (small rotations, shifts, scales, brightness and contrast changes).`,
  ];
}

function training({ batch, lambda, schedule, average }: Plan, { epochs, averageEvery }: Curriculum): Note[] {
  const paper = recipeByName('paper');
  return [
    `lambda ${lambda} weights the value discrepancies, as in the authors' code (0.5 for MVTec AD, 0.01 for other data); in the paper it weights the directions.`,
    (epochs !== paper.epochs || batch !== paper.batch) &&
      `Epochs: ${epochs}, batch size: ${batch}; the authors use ${paper.epochs} and ${paper.batch} for MVTec AD.`,
    schedule === 'cosine' && 'The learning rate follows half a cosine; the authors keep it constant.',
    average
      ? `The weights are averaged over the last half of the epochs, every ${averageEvery} epochs, as in the paper; the authors' code uses the last.`
      : "The weights are those of the last epoch, as in the authors' code; the paper averages them.",
  ];
}
