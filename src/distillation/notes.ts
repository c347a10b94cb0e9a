/** Differences between a detector and the paper or its authors' code, for the settings it was made with. */
import type { ExpertCard } from '../networks/index.js';
import type { Curriculum } from './images/curriculum.js';
import { type Plan, paperRecipe } from './recipe.js';

/** A note, or false if there is no difference. */
type Note = string | false;

/** Returns the notes of a manifest. */
export function notesOf(plan: Plan, card: ExpertCard, curriculum: Curriculum): string[] {
  const notes: readonly Note[] = [
    ...networks(plan, card),
    'Maps have one scale per detector; the authors scale every map by its own minimum and maximum.',
    tiles(plan, curriculum),
    ...training(plan, curriculum),
    'The threshold comes from good images scored by a cloner that was not trained on them.',
  ];
  return notes.filter((note) => note !== false);
}

function networks({ trainingLayers, scoringLayers }: Plan, card: ExpertCard): Note[] {
  const learned = trainingLayers.map(({ name }) => name).join(', ');
  return [
    `The cloner is trained on ${learned} and scored on ${scoringLayers.join(', ')}; the authors' code uses pool2 to pool5 and pool3 to pool5.`,
    card.schema !== 'mkd.expert/1' && `The expert is ${card.name}; the paper uses VGG-16.`,
    'The expert has its own input convention, the cloner 0..1; the authors use 0..1 for both.',
    "The expert's activations are rescaled to unit size; value discrepancies use that scale.",
  ];
}

function tiles({ tiling, inputSize }: Plan, { squares }: Curriculum): Note {
  return (
    tiling !== undefined &&
    `Images are cut into tiles of ${inputSize} pixels at a scale of ${tiling.scale}, and ${squares} squares of each are used for training; the paper scales each image to one square.`
  );
}

function training({ batch, lambda, average }: Plan, { epochs, averageEvery }: Curriculum): Note[] {
  return [
    `lambda ${lambda} weights the value discrepancies, as in the authors' code (0.5 for MVTec AD, 0.01 for other data); in the paper it weights the directions.`,
    (epochs !== paperRecipe.epochs || batch !== paperRecipe.batch) &&
      `Epochs: ${epochs}, batch size: ${batch}; the authors use ${paperRecipe.epochs} and ${paperRecipe.batch} for MVTec AD.`,
    average
      ? `The weights are averaged over the last half of the epochs, every ${averageEvery} epochs, as in the paper; the authors' code uses the last.`
      : "The weights are those of the last epoch, as in the authors' code; the paper averages them.",
  ];
}
