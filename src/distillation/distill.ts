/** From photos of good parts to a detector: one cloner, or with a cross-fitted threshold also one for each fold. */
import { basename, resolve } from 'node:path';
import { DatasetError, trainingImages } from '../datasets/index.js';
import { checkTarget, embeddedExpert, type Manifest } from '../detector/index.js';
import { distinctFiles } from '../files/distinct-files.js';
import { withLock } from '../files/lock.js';
import { isValueRange, rangeOfFile, type ValueRange } from '../imaging/index.js';
import { type ExpertCard, layersOf, readExpertCard } from '../networks/index.js';
import { randomStream, shuffled } from '../random/random.js';
import { Device } from '../runtime/index.js';
import { measureHeldBack, writeCalibratedDetector } from './calibrated-detector.js';
import { checkFolder, checkpointFolder, checkpointKind, hasCheckpoint } from './checkpoint.js';
import {
  type ClonerJob,
  ClonerTraining,
  type DistillationInputs,
  type ImageFiles,
  partsIn,
} from './cloner-training.js';
import { foldFolder, joinFolds, readFolds, writeFolds } from './cross-fit.js';
import { distillLinear } from './linear/linear-detector.js';
import { type LinearRecipe, linearRecipe } from './linear/linear-recipe.js';
import { planFor, type Recipe } from './recipe.js';
import { applyOptions, type DistillOptions, DistillSettingsError, linearInputSize } from './settings.js';
import { WholeRun } from './whole-run.js';

/** Fewer images are not enough to train and calibrate. */
const fewestImages = 8;

/** Images that a linear cloner is fitted on at most. */
const mostFitted = 1000;

/** Fewer parts say nothing about new ones. */
const fewestParts = 4;

/** The run was aborted; `checkpoint` is its folder, if training had begun. */
export class DistillationInterrupted extends Error {
  override readonly name = 'DistillationInterrupted';

  constructor(readonly checkpoint: string | undefined) {
    super(
      checkpoint
        ? `interrupted; the checkpoint is in ${checkpoint}, continue with --resume`
        : 'interrupted before training began; nothing was written',
    );
  }
}

/**
 * Distills a detector and writes it to `options.out`.
 * @throws LockedError if another process distills to the same folder; DatasetError, ImageError, CalibrationError, CheckpointError, DistillSettingsError, DetectorError, DistillationInterrupted
 */
export async function distill(options: DistillOptions): Promise<Manifest> {
  const { recipe: name = 'default' } = options;
  if (name === 'linear') {
    const recipe = { ...linearRecipe, inputSize: linearInputSize(options, linearRecipe.inputSize) };
    await checkTarget(options.out);
    return withLock(resolve(options.out), () => distillInClosedForm(options, recipe));
  }
  const recipe = applyOptions(options, name);
  await checkTarget(options.out);
  return withLock(resolve(options.out), () => distillAlone(options, recipe));
}

async function distillInClosedForm(options: DistillOptions, recipe: LinearRecipe): Promise<Manifest> {
  const path = options.expertCard ?? embeddedExpert;
  const expert = { path, card: await readExpertCard(path) };
  checkLayers(expert.card, recipe);
  const whole = new WholeRun(1, 1);
  const images = fewer(await goodImages(options), options);
  const device = await Device.open(options.device);
  try {
    const range = await valueRange(images.paths, options, whole);
    const input = { inputSize: recipe.inputSize, range };
    return await distillLinear({ options, recipe, input, expert, images, device, whole });
  } catch (error) {
    if (error !== options.signal?.reason) throw error;
    throw new DistillationInterrupted(undefined);
  } finally {
    await device.close();
  }
}

async function distillAlone(options: DistillOptions, recipe: Recipe): Promise<Manifest> {
  const checkpoint = checkpointFolder(resolve(options.out));
  await checkFolder(checkpoint, options.resume ?? false, options.folds !== undefined);
  const expertCard = options.expertCard ?? embeddedExpert;
  const card = await readExpertCard(expertCard);
  const whole = new WholeRun((options.folds ?? 0) + 1, recipe.batch);
  const images = await goodImages(options);
  checkFoldCount(options.folds, partsIn(images));
  const device = await Device.open(options.device);
  try {
    const expert = { path: expertCard, card };
    const range = await valueRange(images.paths, options, whole);
    const plan = { ...planFor(recipe, card), ...(range ? { range } : {}) };
    const common = { options, plan, expert, images, device, whole };
    const resume = options.resume ?? false;
    if (options.folds !== undefined) return await crossFitted(common, options.folds, checkpoint, resume);
    const training = new ClonerTraining(common, { holdBack: 'share', checkpoint, resume });
    return await training.run((trained) => writeCalibratedDetector(common, trained, undefined));
  } catch (error) {
    if (error !== options.signal?.reason) throw error;
    throw new DistillationInterrupted((await checkpointKind(checkpoint)) ? checkpoint : undefined);
  } finally {
    await device.close();
  }
}

/** Lists each image once: a copy could be trained on and held back at the same time. @throws DatasetError */
async function goodImages({ dataset, normalClass, groupBy, onWarning }: DistillOptions): Promise<ImageFiles> {
  const files = await trainingImages(dataset, normalClass, onWarning);
  const paths = (await distinctFiles(files)).map(({ path }) => path);
  const copies = files.length - paths.length;
  if (paths.length >= fewestImages) return { paths, copies, groups: groupsOf(paths, groupBy) };
  const counted = copies > 0 ? ', copies not counted' : '';
  throw new DatasetError(`${paths.length} images are too few${counted}; at least ${fewestImages} are needed`);
}

/**
 * Returns the value range of the images with more than 8 bits per sample: the one that was asked for, or from their lowest to
 * their highest value. @throws DistillSettingsError, ImageError
 */
async function valueRange(
  paths: readonly string[],
  { range: requested, onWarning, onProgress, signal }: DistillOptions,
  whole: WholeRun,
): Promise<ValueRange | undefined> {
  if (requested && !isValueRange(requested)) {
    const { low, high } = requested;
    throw new DistillSettingsError(`range ${low}:${high}: must be two numbers, the lower one first`);
  }
  const ranges: ValueRange[] = [];
  for (const [done, path] of paths.entries()) {
    signal?.throwIfAborted();
    const progress = { phase: 'read', done, total: paths.length } as const;
    onProgress?.({ ...progress, ...whole.update(progress, 0, {}) });
    const range = await rangeOfFile(path);
    if (range) ranges.push(range);
    if (ranges.length > 0 && requested) return requested;
  }
  if (ranges.length === 0) return undefined;
  if (ranges.length < paths.length) {
    onWarning?.(
      `${ranges.length} of the ${paths.length} images have more than 8 bits per sample, the others 8`,
    );
  }
  const low = Math.min(...ranges.map((range) => range.low));
  const high = Math.max(...ranges.map((range) => range.high));
  if (low < high) return { low, high };
  throw new DatasetError(`all images have the same value everywhere, ${low}; wanted photos`);
}

/** @throws DistillSettingsError if the expert lacks a layer of the recipe. */
function checkLayers(card: ExpertCard, { cloner }: LinearRecipe): void {
  const known = layersOf(card).map(({ name }) => name);
  const spans = [...cloner.spans, ...cloner.cells].map(({ layer }) => layer);
  const needed = [...spans, ...cloner.windows.layers, ...cloner.local.layers];
  const missing = needed.find((layer) => !known.includes(layer));
  if (missing === undefined) return;
  throw new DistillSettingsError(
    `the linear recipe needs the layer ${missing}, and ${card.name} has ${known.join(', ')}; leave out the other expert`,
  );
}

/** Returns at most {@link mostFitted} of the images, drawn by the seed: memory and time stay bounded, and more add little. */
function fewer(images: ImageFiles, { seed = 0, onWarning }: DistillOptions): ImageFiles {
  const { paths, copies, groups } = images;
  if (paths.length <= mostFitted) return images;
  onWarning?.(`${mostFitted} of the ${paths.length} images are used, drawn at random by the seed`);
  const drawn = shuffled(paths.length, randomStream(seed, 'fitted'))
    .slice(0, mostFitted)
    .sort((a, b) => a - b);
  return {
    paths: drawn.map((at) => paths[at] as string),
    copies,
    groups: groups && drawn.map((at) => groups[at] as number),
  };
}

/**
 * Returns the number of the part that each photo shows; undefined if each shows another.
 * @throws DistillSettingsError if the pattern is invalid, or fits a name not.
 */
function groupsOf(paths: readonly string[], pattern: string | undefined): number[] | undefined {
  if (pattern === undefined) return undefined;
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (error) {
    throw new DistillSettingsError(`groupBy ${pattern}: ${(error as Error).message}`);
  }
  const numbers = new Map<string, number>();
  const groups = paths.map((path) => {
    const match = expression.exec(basename(path));
    if (!match) {
      throw new DistillSettingsError(
        `groupBy ${pattern}: ${basename(path)} does not fit; wanted a pattern that fits all names, such as ^([^-]+)- for a-1.png`,
      );
    }
    const part = match[1] ?? match[0];
    if (!numbers.has(part)) numbers.set(part, numbers.size);
    return numbers.get(part) as number;
  });
  if (numbers.size >= fewestParts) return groups;
  throw new DistillSettingsError(
    `groupBy ${pattern}: the ${paths.length} photos show only ${numbers.size} parts; at least ${fewestParts} are needed`,
  );
}

/** @throws DistillSettingsError */
function checkFoldCount(folds: number | undefined, images: number): void {
  const most = Math.floor(images / 2);
  if (folds === undefined || (Number.isInteger(folds) && folds >= 2 && folds <= most)) return;
  throw new DistillSettingsError(
    `folds ${folds}: must be a whole number from 2 to ${most}, half of the ${images} images or parts`,
  );
}

/** Trains the folds' cloners, except those that an interrupted run finished, then the detector's own. */
async function crossFitted(
  common: DistillationInputs,
  count: number,
  checkpoint: string,
  resume: boolean,
): Promise<Manifest> {
  const folds = resume ? await readFolds(checkpoint) : [];
  const resumes = async (folder: string): Promise<boolean> => resume && (await hasCheckpoint(folder));
  for (let fold = folds.length; fold < count; fold++) {
    const folder = foldFolder(checkpoint, fold);
    const job: ClonerJob = {
      holdBack: { fold, of: count },
      checkpoint: folder,
      resume: await resumes(folder),
      folds,
    };
    await new ClonerTraining(common, job).run(async (trained) => {
      const good = await measureHeldBack(common, trained);
      folds.push({ good, heldBackLoss: trained.heldBackLoss as number, settings: trained.settings });
      await writeFolds(checkpoint, folds);
    });
  }
  const own: ClonerJob = { holdBack: 'none', checkpoint, resume: await resumes(checkpoint), folds };
  const { heldBackLoss, ...good } = joinFolds(folds);
  return new ClonerTraining(common, own).run((trained) =>
    writeCalibratedDetector(common, trained, { good, heldBackLoss, folds: count }),
  );
}
