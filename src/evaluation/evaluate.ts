/** Evaluates a detector on the test split of a data set. The detector is not changed. */
import { readFile } from 'node:fs/promises';
import {
  DatasetError,
  describeSource,
  type TestImage,
  type TestSource,
  testImages,
} from '../datasets/index.js';
import type { LocalizationMethod, UnverifiedDetector } from '../detector/index.js';
import {
  type DetectorImage,
  decodeMask,
  decodeNamedImage,
  inspectMask,
  type LocalizationMap,
  mapOfImage,
  named,
  type OnWarning,
  type PictureSize,
  type RegionOfInterest,
  thumbnail,
} from '../imaging/index.js';
import { DirectInference, methodFor, rowsOf, type ScoringEngine, ScoringPipeline } from '../scoring/index.js';
import { judgeMap } from './pixel-figures.js';
import { type EvaluationReport, type JudgedImage, type Measured, makeReport } from './report.js';

export interface EvaluateOptions {
  /** Localization method; by default the detector's own. */
  readonly method?: LocalizationMethod | undefined;
  /** Seed of the bootstrap; default 0. */
  readonly seed?: number;
  /** Samples of the bootstrap intervals; default 1,000. */
  readonly resamples?: number;
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with what a user should know of a file: it was repaired, or only a part of it is used. */
  readonly onWarning?: OnWarning | undefined;
}

/** Images decoded and scored together. */
const imagesAtOnce = 8;

/**
 * Scores every test image. All pixels of a good image count as good; a defective image without a mask is left out of
 * the pixel figures.
 * @throws DatasetError, ImageError; RangeError if the detector has no maps by the requested method.
 */
export async function evaluate(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
  source: TestSource,
  { seed = 0, resamples = 1000, method: asked, onProgress, onWarning }: EvaluateOptions = {},
): Promise<EvaluationReport> {
  // Checked before anything is read.
  const localization = methodFor(detector, asked);
  const images = await testImages(source, onWarning);
  const method = images.some(({ masks }) => masks.length > 0) ? localization : 'none';
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const rows: Parameters<typeof rowsOf>[0][number][] = [];
  const maps: JudgedImage[] = [];
  const learned: string[] = [];
  const nearCopies: string[] = [];
  const copies = detector.learned.nearCopies();
  let decodeSeconds = 0;
  let inferenceSeconds = 0;
  for (let first = 0; first < images.length; first += imagesAtOnce) {
    const part = images.slice(first, first + imagesAtOnce);
    const began = performance.now();
    const decoded = await Promise.all(part.map(({ path }) => decode(path, detector, onWarning)));
    decodeSeconds += (performance.now() - began) / 1000;
    learned.push(...part.filter((_, index) => decoded[index]?.learned).map(({ path }) => path));
    for (const [at, { path, anomalous }] of part.entries()) {
      const image = decoded[at] as Decoded;
      if (!anomalous && !image.learned && copies?.has(thumbnail(image))) nearCopies.push(path);
    }
    const { images: scored, timings } = await pipeline.infer(detector, decoded, { map: method });
    inferenceSeconds += timings.runtimeSeconds;
    rows.push(...scored);
    maps.push(...(await judge(part, decoded, scored, detector.input.region, onWarning)));
    onProgress?.(Math.min(first + imagesAtOnce, images.length), images.length);
  }
  warnOfInverted(maps, onWarning);
  const measured: Measured = {
    images,
    score: rowsOf(rows, 'score'),
    value: rowsOf(rows, 'value'),
    direction: rowsOf(rows, 'direction'),
    peak: rowsOf(rows, 'peak'),
    maps,
    method,
    learned,
    nearCopies,
    decodeSeconds,
    inferenceSeconds,
  };
  return makeReport(describeSource(source), detector, measured, { seed, resamples });
}

type Decoded = DetectorImage & { readonly learned: boolean };

async function decode(
  path: string,
  { input, learned }: UnverifiedDetector,
  onWarning: OnWarning | undefined,
): Promise<Decoded> {
  const bytes = await readFile(path);
  return { ...(await decodeNamedImage(bytes, path, input, onWarning)), learned: learned.has(bytes) };
}

/** Warns if most of the masks mark most of their image: black and white may be the wrong way round. */
function warnOfInverted(maps: readonly JudgedImage[], onWarning: EvaluateOptions['onWarning']): void {
  const shares = maps.filter(({ anomalous }) => anomalous).map(markedShare);
  const large = shares.filter((share) => share > 0.5 && share < 1).length;
  if (large <= shares.length / 2) return;
  onWarning?.(
    `${large} of the ${shares.length} masks mark more than half of their image; wanted black where the part is good, and any other value where it is not`,
  );
}

/** Returns the share of an image that its mask marks. */
function markedShare({ regions, clean }: JudgedImage): number {
  const marked = regions.reduce((sum, { length }) => sum + length, 0);
  return marked / (marked + clean.length);
}

async function judge(
  images: readonly TestImage[],
  decoded: readonly DetectorImage[],
  scored: readonly { readonly map?: LocalizationMap }[],
  region: RegionOfInterest | undefined,
  onWarning: EvaluateOptions['onWarning'],
): Promise<JudgedImage[]> {
  const judged: JudgedImage[] = [];
  for (const [index, { path, kind, anomalous, masks }] of images.entries()) {
    const scaled = scored[index]?.map;
    if (!scaled || (anomalous && masks.length === 0)) continue;
    const image = decoded[index] as DetectorImage;
    const map = mapOfImage(scaled, image.grid, region);
    const marked = await readMasks(masks, image, map, onWarning);
    if (marked?.every((value) => value > 0)) {
      onWarning?.(`${masks.join(', ')}: the whole mask is a defect; wanted black where the part is good`);
    }
    judged.push({ path, ...judgeMap(kind, map, marked) });
  }
  return judged;
}

/** Reads the masks of an image, joined; undefined if there are none. @throws DatasetError, ImageError */
async function readMasks(
  paths: readonly string[],
  image: PictureSize,
  size: PictureSize,
  onWarning: EvaluateOptions['onWarning'],
): Promise<Uint8Array | undefined> {
  const [first, ...others] = await Promise.all(paths.map((path) => readMask(path, image, size, onWarning)));
  return first?.map((value, at) => Math.max(value, ...others.map((other) => other[at] as number)));
}

/** Allowed relative difference between the aspect ratios of a mask and its image. */
const ratioSlack = 0.02;

/** @throws DatasetError if the mask has another aspect ratio than its image. */
async function readMask(
  path: string,
  image: PictureSize,
  size: PictureSize,
  onWarning: EvaluateOptions['onWarning'],
): Promise<Uint8Array> {
  const bytes = await readFile(path);
  const { width, height } = await named(path, () => inspectMask(bytes));
  if (Math.abs((width * image.height) / (height * image.width) - 1) > ratioSlack) {
    throw new DatasetError(
      `${path} has ${width} x ${height} pixels, its image ${image.width} x ${image.height}; the mask must have the same aspect ratio`,
    );
  }
  const { marks, warnings } = await named(path, () => decodeMask(bytes, size));
  for (const warning of warnings) onWarning?.(`${path}: ${warning}`);
  return marks;
}
