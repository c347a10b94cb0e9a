/** Detectors with a linear cloner: distilled from photos, and with photos added or taken back. */
import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { DatasetError } from '../../datasets/index.js';
import {
  checkTarget,
  embeddedExperts,
  expertOf,
  findExpert,
  linearClonerOf,
  type Manifest,
  photosFile,
  readDetector,
} from '../../detector/index.js';
import type { DistinctFile } from '../../files/distinct-files.js';
import { describeError, firstNames } from '../../files/explain.js';
import { withLock } from '../../files/lock.js';
import { readText } from '../../files/read-text.js';
import {
  ImageError,
  type InputShape,
  named,
  type RegionOfInterest,
  regionOfMask,
  regionOfPolygons,
  tileCount,
} from '../../imaging/index.js';
import { readExpertCard } from '../../networks/index.js';
import { randomStream, shuffled } from '../../random/random.js';
import { checkCount, distinctPhotos, fewestImages, goodFiles, valueRange } from '../good-files.js';
import { partsOf } from '../groups.js';
import { onDevice } from '../on-device.js';
import { type DistillOptions, DistillSettingsError, linearInput } from '../settings.js';
import { WholeRun } from '../whole-run.js';
import type { GoodPhoto } from './fit.js';
import { hintAtInput } from './input-hints.js';
import { distillLinear } from './linear-detector.js';
import { linearRecipeFor } from './linear-recipe.js';
import { photoFile, readKeptPhotos } from './photos.js';

/** Images, or tiles of them, that a linear cloner is fitted on at most. */
const mostFitted = 1000;

/** Distills a detector. */
export async function distillInClosedForm(options: DistillOptions): Promise<Manifest> {
  const path = expertOf(options.expertCard, embeddedExperts.efficientNet);
  const expert = { path, card: await readExpertCard(path) };
  const { cloner, inputSize } = linearRecipeFor(expert.card);
  const shape = linearInput(options, inputSize);
  const whole = new WholeRun(1, 1);
  const { files, copies, parts } = await goodFiles(options);
  return onDevice(options, async (device) => {
    const paths = files.map((file) => file.path);
    const range = await valueRange(paths, options, whole);
    const input: InputShape = { ...shape, range, region: await regionIn(options.regionOfInterest) };
    await hintAtInput(paths, options, input);
    const all = photosOf(files, parts, input, options);
    const photos = await fewer(all, input, options);
    return distillLinear({ options, cloner, input, expert, photos, copies, device, whole });
  });
}

/** @throws ImageError naming the file; DatasetError if it cannot be read. */
async function regionIn(path: string | undefined): Promise<RegionOfInterest | undefined> {
  if (path === undefined) return undefined;
  const reading = async (): Promise<RegionOfInterest> =>
    path.toLowerCase().endsWith('.json')
      ? regionOfPolygons(await readText(path))
      : regionOfMask(await readFile(path));
  return named(path, reading).catch((error: unknown) => {
    if (error instanceof ImageError) throw error;
    throw new DatasetError(`regionOfInterest: ${describeError(error, path || "''")}`);
  });
}

export interface AddOptions
  extends Pick<
    DistillOptions,
    'falseAlarmRate' | 'dropDoubtful' | 'device' | 'signal' | 'onProgress' | 'onWarning' | 'onDoubtful'
  > {
  /** Folder of the detector. */
  readonly detector: string;
  /** More good photos: an MVTec tree or a folder. */
  readonly dataset?: string | undefined;
  /** Names of photos to take back: paths, or what follows the last slash. */
  readonly remove?: readonly string[] | undefined;
  /** Which parts the new photos show; by default by the rule that the detector was made with. */
  readonly groupBy?: string | undefined;
  /** Folder of the result; by default the detector is replaced. */
  readonly out?: string | undefined;
  /** Folders of imported experts. */
  readonly experts?: readonly string[] | undefined;
}

/**
 * Adds photos to a detector, or takes some back: the result is the detector that all of them together would have given, number
 * for number. The photos that it was made from are kept beside it.
 * @throws LockedError if another process writes the same detector; DetectorError, DatasetError, ImageError, DistillSettingsError, DistillationInterrupted
 */
export async function changePhotos(options: AddOptions): Promise<Manifest> {
  const { detector, out = detector } = options;
  if (options.out !== undefined) await checkTarget(out);
  return withLock(resolve(out), () => changeAlone(options, out));
}

async function changeAlone(options: AddOptions, out: string): Promise<Manifest> {
  const { detector, dataset, remove = [], onWarning } = options;
  const { manifest, input } = await readDetector(detector, options.experts);
  const cloner = linearClonerOf(manifest);
  const path = await findExpert(manifest.expert, options.experts ?? []);
  const expert = { path, card: await readExpertCard(path) };
  const kept = await readKeptPhotos(detector, manifest.data.fingerprint, input);
  const groupBy = options.groupBy ?? kept.groupBy;
  if (resolve(kept.file) !== photosFile(detector)) {
    onWarning?.(
      `the photos of ${detector} are not kept beside it; ${kept.file} has the same ones and is used`,
    );
  }
  const rest = without(kept.photos, remove);
  const known = new Set(rest.map(({ sha256 }) => sha256.toString('hex')));
  const found = dataset === undefined ? [] : (await distinctPhotos({ dataset, groupBy, onWarning })).files;
  const fresh = found.filter(({ sha256 }) => !known.has(sha256.toString('hex')));
  if (fresh.length < found.length) {
    onWarning?.(`${found.length - fresh.length} of the ${found.length} photos are known already`);
  }
  if (fresh.length === 0 && remove.length === 0 && !options.dropDoubtful) {
    if (resolve(out) !== resolve(detector)) {
      throw new DatasetError(
        `there is nothing to add: all ${found.length} photos are known; ${out} is not written`,
      );
    }
    onWarning?.('there is nothing to add; the detector stays as it is');
    return manifest;
  }
  const parts = await partsOf(
    fresh.map((file) => file.path),
    groupBy,
  );
  if (manifest.calibration.earlierVersions && options.falseAlarmRate === undefined) {
    onWarning?.(
      'the threshold was set after the detector was made; it is computed anew from its photos, so set it again if need be',
    );
  }
  const photos = [...rest, ...photosOf(fresh, parts, input, options)];
  checkCount(photos.length);
  const whole = new WholeRun(1, 1);
  return onDevice(options, (device) =>
    distillLinear({
      options: { ...options, dataset: dataset ?? detector, out, groupBy },
      cloner,
      input,
      expert,
      photos,
      copies: 0,
      device,
      whole,
    }),
  );
}

/** Returns files as photos, with the parts that they show. */
function photosOf(
  files: readonly DistinctFile[],
  parts: readonly string[] | undefined,
  input: InputShape,
  { onWarning }: Pick<DistillOptions, 'onWarning'>,
): GoodPhoto[] {
  return files.map(({ path, sha256 }, at) => ({
    ...photoFile(path, sha256, input, onWarning),
    part: parts?.[at],
  }));
}

/** @throws DistillSettingsError if there is no photo of that name, or several. */
function without(photos: readonly GoodPhoto[], names: readonly string[]): readonly GoodPhoto[] {
  const removed = new Set(
    names.map((name) => {
      const exact = photos.filter((photo) => photo.name === name);
      const matching = exact.length > 0 ? exact : photos.filter((photo) => basename(photo.name) === name);
      const [one, other] = matching;
      if (one && !other) return one;
      const why = one
        ? `several photos have this name; name one of ${firstNames(matching.map((photo) => photo.name))}`
        : `no photo has this name; the detector was made from ${firstNames(photos.map((photo) => basename(photo.name)))}`;
      throw new DistillSettingsError(`remove ${name}: ${why}`);
    }),
  );
  return photos.filter((photo) => !removed.has(photo));
}

/**
 * Returns so many of the photos that they are at most {@link mostFitted} tiles, if all are as large as the first, drawn by the
 * seed: memory and time stay bounded, and more add little.
 */
async function fewer(
  photos: readonly GoodPhoto[],
  input: InputShape,
  { seed = 0, onWarning }: DistillOptions,
): Promise<readonly GoodPhoto[]> {
  const [first] = photos as readonly [GoodPhoto];
  const tiles = input.tiling ? tileCount((await first.read()).grid) : 1;
  const most = Math.max(fewestImages, Math.floor(mostFitted / tiles));
  if (photos.length <= most) return photos;
  const each = tiles > 1 ? `, ${tiles} tiles each` : '';
  onWarning?.(`${most} of the ${photos.length} images are used${each}, drawn at random by the seed`);
  return shuffled(photos.length, randomStream(seed, 'fitted'))
    .slice(0, most)
    .map((at) => photos[at] as GoodPhoto);
}
