/** Recalibrates a detector with new good images or with labeled verdicts. Its scores do not change. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { trainingImages } from '../datasets/index.js';
import {
  type Calibration,
  CalibrationError,
  calibration,
  checkTarget,
  type GoodImages,
  type Manifest,
  replaceCalibration,
  scoreRounding,
  type UnverifiedDetector,
  type Verdict,
  verdictOf,
  withThreshold,
} from '../detector/index.js';
import { distinctFiles } from '../files/distinct-files.js';
import { describeError, firstNames } from '../files/explain.js';
import { readText } from '../files/read-text.js';
import { decodeNamedImage, type OnWarning, thumbnail } from '../imaging/index.js';
import { DirectInference, measureGoodImages, type ScoringEngine, ScoringPipeline } from '../scoring/index.js';
import { type PastVerdict, parseVerdicts } from './verdicts.js';

/** What a detector is calibrated with: a folder (or MVTec tree) of good images, a file of labeled verdicts, or by hand. */
export type CalibrationSource =
  | { readonly goodImages: string }
  | { readonly verdicts: string }
  | { readonly threshold: number };

export interface RecalibrateOptions {
  /** Folder of the detector. */
  readonly folder: string;
  readonly source: CalibrationSource;
  /** By default 0.05, or the lowest that the images support. */
  readonly falseAlarmRate?: number | undefined;
  /** Adds the new scores to those of the current calibration. */
  readonly add?: boolean;
  /** Folder of the result; by default the detector is changed in place. */
  readonly out?: string | undefined;
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with what a user should know of a file: it was repaired, or only a part of it is used. */
  readonly onWarning?: OnWarning | undefined;
}

/** A verdict that the new threshold reverses. */
export interface Flip {
  readonly image: string;
  readonly score: number;
  readonly before: Verdict;
  readonly after: Verdict;
  /** A person's label, if known. */
  readonly label?: Verdict;
}

export interface Recalibration {
  readonly before: Calibration;
  readonly after: Calibration;
  /** Of the calibrated detector. */
  readonly version: string;
  /** Number of known verdicts, and those that flip. */
  readonly verdicts: number;
  readonly flips: readonly Flip[];
}

/**
 * Recalibrates a detector and writes it.
 * @throws CalibrationError if there are too few good images or training images among them; DatasetError, ImageError.
 */
export async function recalibrate(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
  options: RecalibrateOptions,
): Promise<Recalibration> {
  const before = detector.manifest.calibration;
  if (options.out !== undefined) await checkTarget(options.out);
  if ('threshold' in options.source) {
    const after = withThreshold(before, options.source.threshold);
    const version = await replaceCalibration(options.folder, after, options.out);
    return { before, after, version, verdicts: 0, flips: [] };
  }
  const { good, known } =
    'goodImages' in options.source
      ? await fromImages(engine, detector, options.source.goodImages, options)
      : await fromVerdicts(detector, options.source.verdicts);
  const all = options.add ? mergeCalibration(detector.manifest, good) : good;
  const after = calibration(all, detector.manifest.terms, options.falseAlarmRate);
  const version = await replaceCalibration(options.folder, after, options.out);
  return { before, after, version, verdicts: known.length, flips: flipsOf(known, before, after) };
}

/** Joins current calibration and new images. Map thresholds stay, because the old maps were not kept. */
function mergeCalibration({ calibration: before, terms }: Manifest, good: GoodImages): GoodImages {
  const isSameScore = (known: number, score: number): boolean =>
    Math.abs(score - known) <= scoreRounding(terms, known);
  const directions = Object.entries(before.directions).map(([layer, known]): [string, number[]] => {
    const all = withNew(known, good.directions[layer] ?? [], isSameDirection);
    return [layer, all.sort((a, b) => a - b)];
  });
  const { mapThresholds } = before;
  return {
    mapThresholds,
    scores: withNew(before.scores, good.scores, isSameScore),
    directions: Object.fromEntries(directions),
  };
}

/** Direction discrepancies that differ by less are of the same image, measured twice; they are mostly close to 0. */
const directionRounding = 1e-7;

function isSameDirection(known: number, direction: number): boolean {
  return Math.abs(direction - known) <= directionRounding * Math.max(1, known);
}

/** Returns the old numbers, and the new ones that do not equal an old one. */
function withNew(
  before: readonly number[],
  now: readonly number[],
  same: (known: number, number: number) => boolean,
): number[] {
  return [...before, ...now.filter((number) => !before.some((known) => same(known, number)))];
}

type Known = Pick<PastVerdict, 'image' | 'score' | 'label'>;

async function fromImages(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
  folder: string,
  { onProgress = () => {}, onWarning }: Pick<RecalibrateOptions, 'onProgress' | 'onWarning'>,
): Promise<{ good: GoodImages; known: Known[] }> {
  // Duplicates add no information.
  const files = await distinctFiles(await trainingImages(folder, undefined, onWarning));
  const paths = files.map(({ path }) => path);
  const learned = files
    .filter(({ sha256 }) => detector.learned.hasSha256(sha256))
    .map(({ path }) => basename(path));
  refuseLearned(learned, `${paths.length} images in ${folder}`);
  const copies = detector.learned.nearCopies();
  const nearCopies: string[] = [];
  const images = paths.map((path) => async () => {
    const image = await decodeNamedImage(await readFile(path), path, detector.input, onWarning);
    if (copies?.has(thumbnail(image))) nearCopies.push(basename(path));
    return image;
  });
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const good = await measureGoodImages(pipeline, detector, images, { onProgress });
  if (nearCopies.length > 0) {
    onWarning?.(
      `${nearCopies.length} of the ${paths.length} images are near-copies of photos that the detector was made from ` +
        `(${firstNames(nearCopies.sort())}); if they show the same parts, the threshold is too low for new parts`,
    );
  }
  const known = paths.map((image, index) => ({ image, score: good.scores[index] as number }));
  return { good, known };
}

/** @param of number and source of all images, for the message. @throws CalibrationError if there are any. */
function refuseLearned(learned: readonly string[], of: string): void {
  if (learned.length === 0) return;
  throw new CalibrationError(
    `the detector was trained on ${learned.length} of the ${of} ` +
      `(${firstNames(learned)}), which therefore score too low; use new good images`,
  );
}

/** Takes the scores of verdicts labeled good. Map thresholds and discrepancies stay: there are no pixels. */
async function fromVerdicts(
  detector: UnverifiedDetector,
  file: string,
): Promise<{ good: GoodImages; known: Known[] }> {
  const text = await readText(file).catch((error: unknown) => {
    throw new CalibrationError(`the verdicts cannot be read: ${describeError(error, file)}`);
  });
  const known = parseVerdicts(text, detector);
  const good = known.filter(({ label }) => label === 'good');
  const learned = good.filter((verdict) => verdict.learned).map(({ image }) => basename(image));
  refuseLearned(learned, `${good.length} images labeled good in ${file}`);
  const scores = good.map(({ score }) => score);
  if (known.length > 0 && known.every(({ label }) => label === undefined)) {
    throw new CalibrationError(
      `none of the ${known.length} verdicts in ${file} has a label; add "label": "good" or "anomalous" to those a person has judged`,
    );
  }
  const { directions, mapThresholds } = detector.manifest.calibration;
  return { good: { scores, directions, mapThresholds }, known };
}

function flipsOf(known: readonly Known[], before: Calibration, after: Calibration): Flip[] {
  return known.flatMap(({ image, score, label }): Flip[] => {
    const verdicts = {
      before: verdictOf(score, before.threshold),
      after: verdictOf(score, after.threshold),
    };
    if (verdicts.before === verdicts.after) return [];
    return [{ image, score, ...verdicts, ...(label === undefined ? {} : { label }) }];
  });
}
