/** From photos of good parts to a detector: one cloner, or with a cross-fitted threshold also one for each fold. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DatasetError, trainingImages } from '../datasets/index.js';
import { checkTarget, embeddedExperts, expertCardOf, type Manifest } from '../detector/index.js';
import { significant } from '../files/decimals.js';
import { distinctFiles } from '../files/distinct-files.js';
import { withLock } from '../files/lock.js';
import {
  decodeNamedImage,
  type InputShape,
  isValueRange,
  rangeOfFile,
  tileCount,
  type ValueRange,
} from '../imaging/index.js';
import { readExpertCard } from '../networks/index.js';
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
import { groupsOf } from './groups.js';
import { distillLinear } from './linear/linear-detector.js';
import { linearRecipeFor } from './linear/linear-recipe.js';
import { planFor, type Recipe } from './recipe.js';
import { applyOptions, type DistillOptions, DistillSettingsError, linearInput } from './settings.js';
import { WholeRun } from './whole-run.js';

/** Fewer images are not enough to train and calibrate. */
const fewestImages = 8;

/** Images, or tiles of them, that a linear cloner is fitted on at most. */
const mostFitted = 1000;

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
  const { recipe: name = 'linear' } = options;
  if (name === 'linear') {
    await checkTarget(options.out);
    return withLock(resolve(options.out), () => distillInClosedForm(options));
  }
  const recipe = applyOptions(options, name);
  await checkTarget(options.out);
  return withLock(resolve(options.out), () => distillAlone(options, recipe));
}

async function distillInClosedForm(options: DistillOptions): Promise<Manifest> {
  const path = expertOf(options, embeddedExperts.efficientNet);
  const expert = { path, card: await readExpertCard(path) };
  const { cloner, inputSize } = linearRecipeFor(expert.card);
  const shape = linearInput(options, inputSize);
  const whole = new WholeRun(1, 1);
  const all = await goodImages(options);
  return onDevice(options, async (device) => {
    const input = { ...shape, range: await valueRange(all.paths, options, whole) };
    const images = await fewer(all, input, options);
    return distillLinear({ options, cloner, input, expert, images, device, whole });
  });
}

async function distillAlone(options: DistillOptions, recipe: Recipe): Promise<Manifest> {
  const checkpoint = checkpointFolder(resolve(options.out));
  await checkFolder(checkpoint, options.resume ?? false, options.folds !== undefined);
  const expertCard = expertOf(options, embeddedExperts.vgg16);
  const card = await readExpertCard(expertCard);
  const whole = new WholeRun((options.folds ?? 0) + 1, recipe.batch);
  const images = await goodImages(options);
  checkFoldCount(options.folds, partsIn(images));
  const run = async (device: Device): Promise<Manifest> => {
    const expert = { path: expertCard, card };
    const range = await valueRange(images.paths, options, whole);
    const plan = { ...planFor(recipe, card), ...(range ? { range } : {}) };
    const common = { options, plan, expert, images, device, whole };
    const resume = options.resume ?? false;
    if (options.folds !== undefined) return crossFitted(common, options.folds, checkpoint, resume);
    const training = new ClonerTraining(common, { holdBack: 'share', checkpoint, resume });
    return training.run((trained) => writeCalibratedDetector(common, trained, undefined));
  };
  return onDevice(options, run, async () => ((await checkpointKind(checkpoint)) ? checkpoint : undefined));
}

function expertOf({ expertCard }: DistillOptions, usual: string): string {
  return expertCard === undefined ? usual : expertCardOf(expertCard);
}

/** @param saved returns the checkpoint that an interrupted run leaves. @throws DistillationInterrupted */
async function onDevice(
  { device: settings, signal }: DistillOptions,
  run: (device: Device) => Promise<Manifest>,
  saved: () => Promise<string | undefined> = async () => undefined,
): Promise<Manifest> {
  const device = await Device.open(settings);
  try {
    return await run(device);
  } catch (error) {
    if (error !== signal?.reason) throw error;
    throw new DistillationInterrupted(await saved());
  } finally {
    await device.close();
  }
}

/** Lists each image once: a copy could be trained on and held back at the same time. @throws DatasetError */
async function goodImages({ dataset, normalClass, groupBy, onWarning }: DistillOptions): Promise<ImageFiles> {
  const files = await trainingImages(dataset, normalClass, onWarning);
  const paths = (await distinctFiles(files)).map(({ path }) => path);
  const copies = files.length - paths.length;
  if (paths.length >= fewestImages) {
    return { paths, copies, groups: groupBy === undefined ? undefined : await groupsOf(paths, groupBy) };
  }
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
  if (low < high) return { low: outward(low, -1), high: outward(high, 1) };
  throw new DatasetError(`all images have the same value everywhere, ${low}; wanted photos`);
}

/** Returns the next number in a direction that has six significant digits. */
function outward(value: number, direction: 1 | -1): number {
  if (Number.isInteger(value)) return value;
  const near = significant(value, 6);
  if (direction * near >= direction * value) return near;
  return significant(near + direction * 10 ** (Math.floor(Math.log10(Math.abs(value))) - 5), 6);
}

/**
 * Returns so many of the images that they are at most {@link mostFitted} tiles, if all are as large as the first, drawn by the
 * seed: memory and time stay bounded, and more add little.
 */
async function fewer(
  images: ImageFiles,
  input: InputShape,
  { seed = 0, onWarning }: DistillOptions,
): Promise<ImageFiles> {
  const { paths, copies, groups } = images;
  const [first] = paths as [string];
  const { grid } = input.tiling
    ? await decodeNamedImage(await readFile(first), first, input)
    : { grid: undefined };
  const most = Math.max(fewestImages, Math.floor(mostFitted / (grid ? tileCount(grid) : 1)));
  if (paths.length <= most) return images;
  onWarning?.(
    `${most} of the ${paths.length} images are used${grid ? `, ${tileCount(grid)} tiles each` : ''}, drawn at random by the seed`,
  );
  const drawn = shuffled(paths.length, randomStream(seed, 'fitted'))
    .slice(0, most)
    .sort((a, b) => a - b);
  return {
    paths: drawn.map((at) => paths[at] as string),
    copies,
    groups: groups && drawn.map((at) => groups[at] as number),
  };
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
