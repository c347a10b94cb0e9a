/** From photos of good parts to a detector: one cloner, or where the threshold is cross-fitted one for each fold before. */
import { resolve } from 'node:path';
import { DatasetError, trainingImages } from '../datasets/index.js';
import { checkTarget, embeddedExpert, type Manifest } from '../detector/index.js';
import { distinctFiles } from '../files/distinct-files.js';
import { readExpertCard } from '../networks/index.js';
import { Device } from '../runtime/index.js';
import { checkFolder, checkpointFolder, hasCheckpoint, holdsWork, removeCheckpoint } from './checkpoint.js';
import { foldFolder, readFolds, writeFolds } from './cross-fit.js';
import { Distillation, type Part } from './distillation.js';
import type { ImageFiles } from './finish.js';
import { planFor } from './recipe.js';
import { type DistillOptions, DistillSettingsError, settle } from './settings.js';

/** Fewer images than this leave nothing to learn from and calibrate with. */
const fewestImages = 8;

/** The run was aborted; what it had done is in `checkpoint`, where it had come to that. */
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
 * @throws DatasetError, ImageError, CalibrationError, CheckpointError, DistillSettingsError, DetectorError, DistillationInterrupted
 */
export async function distill(options: DistillOptions): Promise<Manifest> {
  const recipe = settle(options);
  await checkTarget(options.out);
  const checkpoint = checkpointFolder(resolve(options.out));
  await checkFolder(checkpoint, options.resume ?? false, options.folds !== undefined);
  const expertCard = options.expertCard ?? embeddedExpert;
  const card = await readExpertCard(expertCard);
  const images = await goodImages(options);
  checkFoldCount(options.folds, images.paths.length);
  const device = await Device.open(options.device);
  try {
    const expert = { path: expertCard, card };
    const plan = planFor(recipe, card);
    const part = (settings: Part) => new Distillation(options, plan, expert, images, device, settings);
    return options.folds === undefined
      ? await part({ holdBack: 'share', checkpoint, resume: options.resume ?? false }).detector()
      : await crossFitted(options.folds, checkpoint, options.resume ?? false, part);
  } catch (error) {
    if (error !== options.signal?.reason) throw error;
    throw new DistillationInterrupted((await holdsWork(checkpoint)) ? checkpoint : undefined);
  } finally {
    await device.close();
  }
}

/** Each picture once: one that is there twice could be learned from and held back at once. @throws DatasetError */
async function goodImages({ dataset, normalClass }: DistillOptions): Promise<ImageFiles> {
  const files = await trainingImages(dataset, normalClass);
  const paths = (await distinctFiles(files)).map(({ path }) => path);
  const copies = files.length - paths.length;
  if (paths.length >= fewestImages) return { paths, copies };
  const counted = copies > 0 ? ', copies not counted' : '';
  throw new DatasetError(`${paths.length} images are too few${counted}; at least ${fewestImages} are needed`);
}

/** @throws DistillSettingsError */
function checkFoldCount(folds: number | undefined, images: number): void {
  const most = Math.floor(images / 2);
  if (folds === undefined || (Number.isInteger(folds) && folds >= 2 && folds <= most)) return;
  throw new DistillSettingsError(
    `folds ${folds}: wanted a whole number from 2 to ${most}, half of the ${images} images`,
  );
}

/** The cloners of the folds one after another, those of an interrupted run as they were found, then the detector's own. */
async function crossFitted(
  folds: number,
  checkpoint: string,
  resume: boolean,
  part: (settings: Part) => Distillation,
): Promise<Manifest> {
  const done = resume ? await readFolds(checkpoint) : [];
  const resumes = async (folder: string): Promise<boolean> => resume && (await hasCheckpoint(folder));
  for (let fold = done.length; fold < folds; fold++) {
    const folder = foldFolder(checkpoint, fold);
    const settings: Part = {
      holdBack: { fold, of: folds },
      checkpoint: folder,
      resume: await resumes(folder),
      folds: done,
    };
    done.push(await part(settings).measure());
    await writeFolds(checkpoint, done);
    await removeCheckpoint(folder);
  }
  const own = { holdBack: 'none', checkpoint, resume: await resumes(checkpoint), folds: done } as const;
  return part(own).detector();
}
