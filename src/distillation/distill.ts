/** From photos of good parts to a detector: one cloner, or with a cross-fitted threshold also one for each fold. */
import { resolve } from 'node:path';
import { checkTarget, embeddedExperts, expertOf, type Manifest } from '../detector/index.js';
import { withLock } from '../files/lock.js';
import { readExpertCard } from '../networks/index.js';
import type { Device } from '../runtime/index.js';
import { measureHeldBack, writeCalibratedDetector } from './calibrated-detector.js';
import { checkFolder, checkpointFolder, checkpointKind, hasCheckpoint } from './checkpoint.js';
import { type ClonerJob, ClonerTraining, type DistillationInputs, partsIn } from './cloner-training.js';
import { foldFolder, joinFolds, readFolds, writeFolds } from './cross-fit.js';
import { goodFiles, imageFiles, valueRange } from './good-files.js';
import { distillInClosedForm } from './linear/distill-linear.js';
import { onDevice } from './on-device.js';
import { planFor, type Recipe } from './recipe.js';
import { applyOptions, type DistillOptions, DistillSettingsError } from './settings.js';
import { WholeRun } from './whole-run.js';

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
  const recipe = applyOptions(options);
  await checkTarget(options.out);
  return withLock(resolve(options.out), () => distillAlone(options, recipe));
}

async function distillAlone(options: DistillOptions, recipe: Recipe): Promise<Manifest> {
  const checkpoint = checkpointFolder(resolve(options.out));
  await checkFolder(checkpoint, options.resume ?? false, options.folds !== undefined);
  const expertCard = expertOf(options.expertCard, embeddedExperts.vgg16);
  const card = await readExpertCard(expertCard);
  const whole = new WholeRun((options.folds ?? 0) + 1, recipe.batch);
  const images = imageFiles(await goodFiles(options));
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
